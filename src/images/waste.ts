/** What an image's layers hold that its file system does not show: files that a later layer replaces or deletes. */
import { display } from "../archive/bytes.ts";
import type { TarEntry } from "../archive/tar-types.ts";
import type { LayerWaste } from "./types.ts";

/** Files listed for one layer at most, the largest first. */
const MAX_LISTED = 100;

interface Live {
  readonly layer: number;
  readonly size: number;
}

const WHITEOUT = ".wh.";
const OPAQUE = ".wh..wh..opq";

/** Per layer, lowest first: bytes of files that are replaced or deleted further up, or by a later entry of the same layer. */
export const wasteOf = (layers: readonly (readonly TarEntry[])[]): LayerWaste[] => {
  const waste: { bytes: number; files: { path: string; size: number; why: "replaced" | "deleted" }[] }[] = layers.map(() => ({
    bytes: 0,
    files: [],
  }));
  const live = new Map<string, Live>();
  const lose = (path: string, why: "replaced" | "deleted"): void => {
    const before = live.get(path);
    if (!before) return;
    live.delete(path);
    if (before.size === 0) return;
    const lost = waste[before.layer]!;
    lost.bytes += before.size;
    lost.files.push({ path: display(path), size: before.size, why });
  };
  const loseBelow = (folder: string, layer: number): void => {
    const prefix = folder === "" ? "" : `${folder}/`;
    for (const [path, { layer: from }] of live) if (from < layer && path.startsWith(prefix)) lose(path, "deleted");
  };
  layers.forEach((entries, layer) => {
    // Whiteouts speak of the layers below, wherever in the tar they stand.
    for (const { name } of entries) {
      const slash = name.lastIndexOf("/");
      const [folder, base] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)];
      if (base === OPAQUE) loseBelow(folder, layer);
      else if (base.startsWith(WHITEOUT)) {
        const gone = `${folder === "" ? "" : `${folder}/`}${base.slice(WHITEOUT.length)}`;
        lose(gone, "deleted");
        loseBelow(gone, layer);
      }
    }
    for (const { name, type, size } of entries) {
      if (name.slice(name.lastIndexOf("/") + 1).startsWith(WHITEOUT)) continue;
      if (type === "dir") continue;
      lose(name, "replaced");
      if (type === "file") live.set(name, { layer, size });
    }
  });
  return waste.map(({ bytes, files }) => ({ bytes, files: files.sort((a, b) => b.size - a.size).slice(0, MAX_LISTED) }));
};
