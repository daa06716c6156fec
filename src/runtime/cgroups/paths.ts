/** Names that become files below a cgroup tree: whatever passes here cannot leave the tree. */
import { OnggiError } from "../../lib/errors.ts";

const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * Checks a group's path: absolute, at least one component, no empty, `.` or `..` component, no control character, each
 * component at most 255 bytes (NAME_MAX), not a name of the kernel's own files ("cgroup.procs").
 * Throws `invalid_cgroup_path`.
 */
export function checkPath(path: string): void {
  const wrong = (reason: string): never => {
    throw new OnggiError("invalid_cgroup_path", `cgroup path ${JSON.stringify(path)}: ${reason}`);
  };
  if (!path.startsWith("/")) wrong("it must be absolute");
  if (CONTROL.test(path)) wrong("it has a control character");
  for (const name of path.slice(1).split("/")) {
    if (name === "") wrong("it has an empty component");
    if (name === "." || name === "..") wrong(`it has a component ${name}`);
    if (name.startsWith("cgroup.")) wrong(`${name} is a name the kernel keeps for itself`);
    if (Buffer.byteLength(name) > 255) wrong("it has a component of more than 255 bytes");
  }
}

/** The path one level up; "/" for a top-level group. */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** "/a", "/a/b", "/a/b/c" for "/a/b/c". */
export function ancestorsAndSelf(path: string): string[] {
  const names = path.slice(1).split("/");
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}
