/** systemd's unit files, systemd.syntax(7): sections of keys with values, each with the line it is written in. Pure. */

export interface Assignment {
  readonly key: string;
  /** Continued lines joined by spaces. */
  readonly value: string;
  readonly place: Place;
}

export interface Place {
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
}

export interface Section {
  readonly name: string;
  readonly assignments: readonly Assignment[];
}

/** Something is wrong with a unit file, at a place. */
export class UnitError extends Error {
  readonly place: Place | null;

  constructor(place: Place | null, message: string) {
    super(place === null ? message : `${place.file}: line ${place.line}: ${message}`);
    this.place = place;
  }
}

/** Throws UnitError. */
export function parseUnit(text: string, file: string): Section[] {
  const sections: { name: string; assignments: Assignment[] }[] = [];
  const lines = text.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const place = { file, line: at + 1 };
    const line = (lines[at] ?? "").trim();
    if (line === "" || isComment(line)) continue;
    const name = /^\[([^[\]]+)\]$/.exec(line)?.[1];
    if (name !== undefined) {
      sections.push({ name, assignments: [] });
      continue;
    }
    let whole = line;
    while (whole.endsWith("\\") && at + 1 < lines.length) {
      const next = (lines[++at] ?? "").trim();
      // comments may stand between continued lines
      if (!isComment(next)) whole = `${whole.slice(0, -1)} ${next}`;
    }
    const [, key, value = ""] = /^([A-Za-z0-9_-]+)\s*=\s*(.*?)\s*$/s.exec(whole) ?? [];
    if (key === undefined) throw new UnitError(place, `this is no KEY=VALUE: ${JSON.stringify(line.slice(0, 100))}`);
    const section = sections.at(-1);
    if (!section) throw new UnitError(place, `"${key}" stands before any [Section]`);
    section.assignments.push({ key, value, place });
  }
  return sections;
}

const isComment = (line: string): boolean => line.startsWith("#") || line.startsWith(";");

/**
 * The sections of a file and its drop-ins as one: those of one name together, and a key that is set to nothing forgets what was before.
 */
export function mergeUnits(files: readonly (readonly Section[])[]): Map<string, Assignment[]> {
  const merged = new Map<string, Assignment[]>();
  for (const { name, assignments } of files.flat()) {
    const known = merged.get(name) ?? [];
    merged.set(name, [...known, ...assignments]);
  }
  return merged;
}

const escapes: Readonly<Record<string, string>> = {
  ...{ a: "\u0007", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v", s: " " },
  ...{ "\\": "\\", '"': '"', "'": "'" },
};

/** Words of a value, with systemd's quotes and escapes. Throws UnitError for quotes that do not end. */
export function words({ value, place }: Assignment): string[] {
  const found: string[] = [];
  let word: string | null = null;
  let quote: string | null = null;
  for (let at = 0; at < value.length; at++) {
    const character = value[at] as string;
    if (character === "\\" && at + 1 < value.length) {
      const [text, length] = escaped(value.slice(at + 1));
      word = (word ?? "") + text;
      at += length;
    } else if (quote !== null) {
      if (character === quote) quote = null;
      else word = (word ?? "") + character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= "";
    } else if (/\s/.test(character)) {
      if (word !== null) found.push(word);
      word = null;
    } else word = (word ?? "") + character;
  }
  if (quote !== null) throw new UnitError(place, `a quote (${quote}) has no end`);
  if (word !== null) found.push(word);
  return found;
}

/** What stands behind a backslash, and how much of it that is. What is no escape stays with its backslash. */
function escaped(rest: string): [text: string, length: number] {
  const [hex, digits] = /^x([0-9a-fA-F]{2})|^u([0-9a-fA-F]{4})/.exec(rest)?.slice(0, 3).filter(Boolean) ?? [];
  if (hex !== undefined && digits !== undefined) return [String.fromCharCode(Number.parseInt(digits, 16)), hex.length];
  const [first = ""] = rest;
  return Object.hasOwn(escapes, first) ? [escapes[first] as string, 1] : [`\\${first}`, first.length];
}

/** Words as a command of a unit file; systemd's own % and $ in them stay. */
export const commandLine = (given: readonly string[]): string => given.map(quoted).join(" ");

function quoted(word: string): string {
  if (/^[A-Za-z0-9_@%+=:,./${}[\]*?~^!|&<>()#-]+$/.test(word) && !/^[;]$/.test(word)) return word;
  const inside = [...word].map((character) => {
    const code = character.codePointAt(0) as number;
    if (character === '"' || character === "\\") return `\\${character}`;
    if (character === "\n") return "\\n";
    if (character === "\t") return "\\t";
    return code < 32 || code === 127 ? `\\x${code.toString(16).padStart(2, "0")}` : character;
  });
  return `"${inside.join("")}"`;
}

export interface OutputSection {
  readonly name: string;
  readonly lines: readonly (readonly [key: string, value: string])[];
}

export const printUnit = (comment: string, sections: readonly OutputSection[]): string =>
  [
    `# ${comment}\n`,
    ...sections
      .filter(({ lines }) => lines.length > 0)
      .map(({ name, lines }) => `\n[${name}]\n${lines.map(([key, value]) => `${key}=${value}\n`).join("")}`),
  ].join("");
