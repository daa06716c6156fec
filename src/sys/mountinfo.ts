/** /proc/PID/mountinfo, proc(5). Pure. */

export interface MountInfo {
  readonly id: number;
  readonly parent: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the file system that is the mount's root. */
  readonly root: string;
  readonly mountPoint: string;
  /** Per mount: "rw,nosuid". */
  readonly options: readonly string[];
  /** Propagation: "shared:3", "master:2", "propagate_from:2", "unbindable". */
  readonly optional: readonly string[];
  readonly type: string;
  /** "none" or whatever the mounter said. */
  readonly source: string;
  /** Per file system. */
  readonly superOptions: readonly string[];
}

const escapes = /(?:\\[0-3][0-7]{2})+/g;

/** Undoes the kernel's octal escapes: "\040" is a space. Anything else stays as it is. */
export const unescapeOctal = (text: string): string =>
  text.replace(escapes, (run) => {
    const bytes = run
      .slice(1)
      .split("\\")
      .map((digits) => Number.parseInt(digits, 8));
    return new TextDecoder().decode(Uint8Array.from(bytes));
  });

// Only a plain space separates: other white space stands in paths as it is.
const line = /^(\d+) (\d+) (\d+):(\d+) ([^ ]+) ([^ ]+) ([^ ]+)((?: [^ ]+)*?) - ([^ ]+) ([^ ]*) ([^ ]*)$/;

/** Every mount of the text, in its order. Never throws: a line that is not of the form is left out. */
export function parseMountinfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = [];
  for (const row of text.split("\n")) {
    const field = line.exec(row);
    if (field === null) continue;
    mounts.push({
      id: Number(field[1]),
      parent: Number(field[2]),
      major: Number(field[3]),
      minor: Number(field[4]),
      root: unescapeOctal(field[5]!),
      mountPoint: unescapeOctal(field[6]!),
      options: field[7]!.split(","),
      optional: field[8]!.split(" ").filter((tag) => tag !== ""),
      type: unescapeOctal(field[9]!),
      source: unescapeOctal(field[10]!),
      superOptions: unescapeOctal(field[11]!).split(","),
    });
  }
  return mounts;
}
