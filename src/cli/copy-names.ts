/** Where copies go and what they are called there: the rules of `docker cp`. Paths are text; nothing is looked at. */
import { posix } from "node:path";
import { OnggiError } from "../lib/errors.ts";

/** "NAME:PATH", or a path here: one that begins with "/" or ".", or has no colon. */
export function splitPlace(text: string): { name?: string; path: string } {
  const colon = text.indexOf(":");
  if (text.startsWith("/") || text.startsWith(".") || colon < 0) return { path: text };
  return { name: text.slice(0, colon), path: text.slice(colon + 1) };
}

const endsInDot = (path: string): boolean => posix.basename(path) === ".";
export const assertsDirectory = (path: string): boolean => path.endsWith("/") || endsInDot(path);

/** The directory a path lies in and its name there, "." when it ends in "/.". */
export function splitEntry(path: string): { directory: string; base: string } {
  const clean = posix.normalize(path).replace(/(?<=.)\/$/, "");
  if (endsInDot(path)) return { directory: clean, base: "." };
  return { directory: posix.dirname(clean), base: clean === "/" ? "/" : posix.basename(clean) };
}

/** A path made absolute, with what it says at its end. */
export function absolute(cwd: string, path: string): string {
  const full = posix.resolve(cwd, path);
  if (endsInDot(path)) return `${full === "/" ? "" : full}/.`;
  return path.endsWith("/") && full !== "/" ? `${full}/` : full;
}

export interface CopySource {
  readonly path: string;
  readonly isDirectory: boolean;
  /** What it is called where a link was followed: as it was asked for. */
  readonly name?: string | undefined;
}

export interface CopyDestination {
  readonly path: string;
  readonly exists: boolean;
  readonly isDirectory: boolean;
}

/**
 * The directory to unpack in, the name of what is copied in its archive and the name it gets; "." is a directory's content without it.
 * Throws `cannot_copy_directory`, `no_such_directory`.
 */
export function planCopy(source: CopySource, to: CopyDestination): { directory: string; from: string; name: string } {
  const from = source.name ?? splitEntry(source.path).base;
  if (to.isDirectory) return { directory: to.path, from, name: from };
  if (to.exists && source.isDirectory) throw new OnggiError("cannot_copy_directory", "cannot copy directory");
  if (!to.exists && !source.isDirectory && assertsDirectory(to.path))
    throw new OnggiError("no_such_directory", "no such directory");
  const { directory, base } = splitEntry(to.path);
  return { directory, from, name: base };
}

/** A name in an archive whose first part is to be another; null for the content's own directory. Names as the decoder gives them. */
export function renamed(name: string, from: string, to: string): string | null {
  if (from === "." || from === "/") {
    if (to === from) return name === "" ? null : name;
    return name === "" ? to : `${to}/${name}`;
  }
  if (name === from) return to;
  return name.startsWith(`${from}/`) ? `${to}${name.slice(from.length)}` : name;
}

/** What a followed link's target is called: as the link was, where that is another name. */
export function nameOfTarget(path: string, target: string): { path: string; name?: string } {
  const end = endsInDot(path) && !endsInDot(target) ? "/." : path.endsWith("/") && !target.endsWith("/") ? "/" : "";
  const whole = `${target}${end}`;
  const asked = splitEntry(path).base;
  return splitEntry(whole).base === asked ? { path: whole } : { path: whole, name: asked };
}
