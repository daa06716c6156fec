/** Who may read the image files. */
import { readdirSync } from "node:fs";
import type { Spec } from "../../oci/spec.ts";
import { mapped } from "../../runtime/compile-context.ts";
import { NO_ID } from "../../runtime/compile-devices.ts";
import { AT } from "../../sys/constants.ts";
import { close, fchmodat, fchownat, openDir } from "../../sys/file.ts";
import { statx } from "../../sys/stat.ts";
import { hasUserNamespace } from "../compile-criu.ts";

const SEARCH_BY_OTHERS = 0o001;
const SEARCH_BY_GROUP = 0o010;

/**
 * With a user namespace criu reads part of the images as the container's root, which is nobody to the host: they get its group.
 * What they hold is that user's own memory. Before that user is there, criu still owns them.
 */
export function shareImages(imagePath: string, spec: Spec): void {
  if (!hasUserNamespace(spec)) return;
  const gid = mapped(spec.linux?.gidMappings ?? [], 0, "group");
  const directory = openDir(imagePath);
  try {
    for (const entry of readdirSync(imagePath, { withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".img")) continue;
      fchownat(directory, entry.name, NO_ID, gid, AT.AT_SYMLINK_NOFOLLOW);
      fchmodat(directory, entry.name, 0o640);
    }
    const mode = statx(directory, "", AT.AT_EMPTY_PATH).mode & 0o7777;
    if ((mode & SEARCH_BY_OTHERS) !== 0) return;
    fchownat(directory, ".", NO_ID, gid);
    fchmodat(directory, ".", mode | SEARCH_BY_GROUP);
  } finally {
    close(directory);
  }
}
