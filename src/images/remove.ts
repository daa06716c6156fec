/** What removing a name or an image means, before anything is removed. */
import { familiar, type Known } from "./catalog.ts";
import { ImageInUse } from "./errors.ts";
import type { RemoveOptions } from "./types.ts";

export interface Removal {
  readonly known: Known;
  /** Canonical names that go. */
  readonly names: readonly string[];
  /** The image goes with them. */
  readonly last: boolean;
}

/**
 * Of one image that was found by `name`, or by its id or digest where that is null; `listed`: a manifest list needs it. Throws
 * ImageInUse.
 */
export const removalOf = (
  known: Known,
  name: string | null,
  reference: string,
  { force, inUse }: RemoveOptions,
  listed: boolean,
): Removal => {
  const { id } = known.record;
  if (name === null && known.names.length > 1 && !force) {
    throw new ImageInUse(
      `image ${id} has several names (${known.names.map(familiar).join(", ")}); remove them one by one, or with force`,
    );
  }
  const names = name === null ? known.names : [name];
  const last = known.names.every((each) => names.includes(each));
  const used = inUse.has(id) || listed;
  if (last && used && !force) {
    const who = inUse.has(id) ? "container or mount" : "manifest list";
    throw new ImageInUse(`image ${reference} is needed by a ${who}; remove that first`);
  }
  // A container's image stays, without a name, until the container is gone.
  return { known, names, last: last && !used };
};
