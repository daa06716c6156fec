/**
 * The files of a snapshot are an image with a name that nobody else gives: by that name an engine finds one whose snapshot it was killed
 * before it could record, and it is neither listed nor pruned. The image goes with the last of the snapshot and its forks.
 */
import { ImageNotFound } from "../images/errors.ts";
import { type Context, imagesInUse } from "./context.ts";

const PREFIX = "onggi.internal/snapshot:";

export const snapshotImageName = (id: string): string => `${PREFIX}${id}`;

export const isSnapshotImageName = (name: string): boolean => name.startsWith(PREFIX);

/** Removes the image of a snapshot that is neither there nor being made, and that no container is a fork of. */
export async function settleSnapshotImage(context: Context, id: string): Promise<void> {
  const { snapshots, containers, images } = context;
  if (snapshots.has(id) || snapshots.isHeld(id)) return;
  if ([...containers.values()].some(({ record }) => record.snapshot === id)) return;
  try {
    await images.remove(snapshotImageName(id), { force: true, inUse: imagesInUse(context) });
  } catch (error) {
    if (!(error instanceof ImageNotFound)) throw error;
  }
}

/** After a start of the engine, when it is known which containers there are. */
export async function settleSnapshotImages(context: Context): Promise<void> {
  const names = context.images.list().flatMap((image) => image.names.filter(isSnapshotImageName));
  for (const name of names) await settleSnapshotImage(context, name.slice(PREFIX.length));
}
