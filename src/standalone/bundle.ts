/** A bundle: the directory with config.json and the root file system (bundle.md). */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { InvalidSpec, parseSpec } from "../oci/validate.ts";

/** No honest configuration is longer; one of this length is still read in a tenth of a second. */
const LIMIT = 16 * 2 ** 20;

/** The validated specification. Throws OnggiError `spec_not_found`, InvalidSpec. */
export function readBundle(bundle: string): Spec {
  const path = `${bundle}/config.json`;
  let text: string;
  try {
    const { size } = statSync(path);
    if (size > LIMIT) throw new OnggiError("invalid_spec", `${path} has ${size} bytes, want at most ${LIMIT}`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    throw new OnggiError("spec_not_found", `JSON specification file config.json not found: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return parseSpec(text);
}

/** The root directory, absolute and without links. Throws OnggiError `rootfs_missing`. */
export function rootOf(spec: Spec, bundle: string): string {
  if (!spec.root) throw new InvalidSpec("root", "is missing");
  const path = resolve(bundle, spec.root.path);
  try {
    const real = realpathSync(path);
    if (statSync(real).isDirectory()) return real;
  } catch (error) {
    throw new OnggiError("rootfs_missing", `invalid rootfs: ${path}: ${messageOf(error)}`, { cause: error });
  }
  throw new OnggiError("rootfs_missing", `invalid rootfs: ${path}: it is no directory`);
}
