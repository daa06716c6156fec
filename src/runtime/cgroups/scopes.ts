/** Units of systemd by name, and the groups they stand for. Pure. Source: systemd.unit(5), systemd.slice(5), systemd.scope(5). */
import { OnggiError } from "../../lib/errors.ts";
import type { Spec } from "../../oci/spec.ts";
import { cgroupsPathOf, checkPath, type OwnCgroup } from "./paths.ts";
import type { CgroupDriver } from "./types.ts";

/** What systemd takes in the name of a unit (systemd.unit(5)). */
const UNIT = /^[A-Za-z0-9:_.\\@-]+$/;

/** "/a.slice/a-b.slice" for "a-b.slice": a slice's name says where it is. "-.slice" is the root. */
export function expandSlice(slice: string): string {
  const wrong = (): never => {
    throw new OnggiError(
      "invalid_cgroup_path",
      `${JSON.stringify(slice)} is no name of a slice (like "system.slice" or "a-b.slice")`,
    );
  };
  if (slice === "-.slice") return "";
  const stem = slice.endsWith(".slice") && UNIT.test(slice) ? slice.slice(0, -".slice".length) : wrong();
  const parts = stem.split("-");
  if (parts.includes("")) wrong();
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("-")}.slice`).join("");
}

/** Whether a group's path is that of a slice: "/a.slice/a-b.slice". */
export const isSlice = (path: string): boolean => path.endsWith(".slice");

/**
 * The group of the runtime specification's cgroupsPath in systemd's form, "slice:prefix:name". Empty: a scope of its own for
 * the container `id`, in the system's slice, or the user's.
 */
export function scopePath(cgroupsPath: string, id: string, rootless = false): string {
  const standard = rootless ? "user.slice" : "system.slice";
  const [slice, prefix, name, ...rest] = (cgroupsPath || `${standard}:onggi:${id}`).split(":");
  if (slice === undefined || prefix === undefined || !name || rest.length) {
    throw new OnggiError(
      "invalid_cgroup_path",
      `cgroupsPath ${JSON.stringify(cgroupsPath)}: the systemd driver needs "slice:prefix:name"`,
    );
  }
  const path = `${expandSlice(slice || standard)}/${prefix ? `${prefix}-` : ""}${name}.scope`;
  scopeOf(path);
  return path;
}

/** The unit and its slice that a group's path stands for. Throws `invalid_cgroup_path`. */
export function scopeOf(path: string): { unit: string; slice: string } {
  checkPath(path);
  const names = path.slice(1).split("/");
  const unit = names.pop() ?? "";
  const slice = names.at(-1) ?? "-.slice";
  const isUnit = unit.endsWith(".scope") && UNIT.test(unit) && unit.length < 256;
  if (!isUnit || `${expandSlice(slice)}/${unit}` !== path) {
    throw new OnggiError(
      "invalid_cgroup_path",
      `cgroup path ${path}: the systemd driver needs /SLICE/NAME.scope, a slice where its name says`,
    );
  }
  return { unit, slice };
}

/** The group a specification asks for, by driver. Throws `invalid_cgroup_path`. */
export function cgroupPathOf(spec: Spec, id: string, driver: CgroupDriver, own: OwnCgroup & { rootless: boolean }): string {
  const cgroupsPath = spec.linux?.cgroupsPath;
  return driver === "systemd" ? scopePath(cgroupsPath ?? "", id, own.rootless) : cgroupsPathOf(cgroupsPath, id, own);
}
