/** What the compiler has to know about bind sources and cannot find out itself. */
import { statSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { parseMountOptions } from "./mount-options.ts";

/**
 * The bind sources that are no directories, as the specification spells them: their mount points are made as files.
 * Relative sources start from `bundle`. Throws OnggiError `mount_source_missing`. A source that changes its kind between
 * this look and the mount makes the mount fail; it cannot make it go elsewhere.
 */
export function bindSourceFiles(spec: Spec, bundle = "/"): Set<string> {
  const files = new Set<string>();
  for (const { source, type, options, destination } of spec.mounts ?? []) {
    if (!source || !parseMountOptions(options ?? [], type).bind) continue;
    const path = source.startsWith("/") ? source : `${bundle}/${source}`;
    try {
      if (!statSync(path).isDirectory()) files.add(source);
    } catch (error) {
      throw new OnggiError("mount_source_missing", `mount source ${source} for ${destination}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
  return files;
}
