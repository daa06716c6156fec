/** Names that become files below a cgroup tree: whatever passes here cannot leave the tree. */
import { OnggiError } from "../../lib/errors.ts";

/** NAME_MAX of every file system here, in bytes. */
const LONGEST = 255;

/** A loop, no regular expression and no Buffer: the first use of either costs a short-lived process more than all the rest. */
function hasControl(path: string): boolean {
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** UTF-8 has at most three bytes for a unit of a string. */
const isLong = (name: string): boolean => name.length * 3 > LONGEST && new TextEncoder().encode(name).length > LONGEST;

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
  if (hasControl(path)) wrong("it has a control character");
  for (const name of path.slice(1).split("/")) {
    if (name === "") wrong("it has an empty component");
    if (name === "." || name === "..") wrong(`it has a component ${name}`);
    if (name.startsWith("cgroup.")) wrong(`${name} is a name the kernel keeps for itself`);
    if (isLong(name)) wrong("it has a component of more than 255 bytes");
  }
}

/** The path one level up; "/" for a top-level group. */
export const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** "/a", "/a/b", "/a/b/c" for "/a/b/c". */
export function ancestorsAndSelf(path: string): string[] {
  const names = path.slice(1).split("/");
  return names.map((_, index) => `/${names.slice(0, index + 1).join("/")}`);
}

/** Where a caller stands, for cgroupsPaths that are relative. */
export interface OwnCgroup {
  readonly version: "v1" | "v2" | "hybrid";
  /** "/" or an absolute path; what `ownCgroup` finds. */
  readonly path: string;
}

/**
 * The caller's own group out of the text of /proc/self/cgroup (cgroups(7)). With v1 hierarchies, where it may have a different
 * one in each: the deepest that is above it in all of them. "/" for a group outside the caller's cgroup namespace.
 */
export function ownCgroup(text: string, version: OwnCgroup["version"]): string {
  const groups = text.split("\n").flatMap((line): string[] => {
    const [, hierarchy, path] = /^([0-9]+):[^:]*:(\/.*)$/.exec(line) ?? [];
    return path === undefined || (hierarchy === "0") !== (version === "v2") ? [] : [path];
  });
  const [first = [], ...others] = groups.map((path) => path.split("/").filter(Boolean));
  const differs = first.findIndex((name, index) => others.some((other) => other[index] !== name));
  const names = differs < 0 ? first : first.slice(0, differs);
  return names.includes("..") ? "/" : `/${names.join("/")}`;
}

/**
 * The group that a specification's linux.cgroupsPath stands for with the cgroupfs driver, as runc reads it. An absolute path is
 * one below the root of the hierarchies; a relative one, and the container's id where there is none, is below the caller's own
 * group on v1, and beside it on v2, because there a group that has processes can hand no controller down.
 * Throws `invalid_cgroup_path`.
 */
export function cgroupsPathOf(cgroupsPath: string | undefined, id: string, own: OwnCgroup): string {
  const asked = cgroupsPath || id;
  const base = own.version === "v2" ? parentOf(own.path) : own.path;
  const path = asked.startsWith("/") ? asked : `${base === "/" ? "" : base}/${asked}`;
  checkPath(path);
  return path;
}
