/**
 * Patterns as .dockerignore has them (docs.docker.com/build/concepts/context/#dockerignore-files): `*` and `?` within a name, `[a-z]`,
 * `**` over any number of directories, `!` takes back what earlier ones match, the last that matches counts. What is below a match
 * matches. Pure.
 */
export class IgnorePatterns {
  readonly #patterns: readonly { expression: RegExp; matches: boolean }[];

  /** Lines of such a file, comments and empty ones too. */
  constructor(lines: readonly string[]) {
    this.#patterns = lines.flatMap((line) => {
      if (line.startsWith("#")) return [];
      const trimmed = line.trim();
      const matches = !trimmed.startsWith("!");
      const pattern = cleaned(matches ? trimmed : trimmed.slice(1).trim());
      return pattern === "" ? [] : [{ expression: expressionOf(pattern), matches }];
    });
  }

  /** `path` is relative, with "/" between names. */
  matches(path: string): boolean {
    const parents = path.split("/").map((_, index, names) => names.slice(0, index + 1).join("/"));
    let matched = false;
    for (const { expression, matches } of this.#patterns) {
      if (matches !== matched && parents.some((parent) => expression.test(parent))) matched = matches;
    }
    return matched;
  }
}

/** Without "." and "..", and slashes at both ends; "." alone is everything. */
function cleaned(pattern: string): string {
  const names: string[] = [];
  for (const name of pattern.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return pattern !== "" && names.length === 0 ? "**" : names.join("/");
}

function expressionOf(pattern: string): RegExp {
  let source = "";
  for (let at = 0; at < pattern.length; ) {
    const [written, meaning] = pieceAt(pattern, at);
    source += meaning;
    at += written.length;
  }
  try {
    return new RegExp(`^${source}$`, "su");
  } catch {
    // a set that is none, as [z-a]
    return new RegExp(`^${RegExp.escape(pattern)}$`, "s");
  }
}

/** What stands at a place of a pattern, and what it is as a regular expression. */
function pieceAt(pattern: string, at: number): readonly [written: string, meaning: string] {
  const rest = pattern.slice(at);
  const many = /^\*\*+\/?/.exec(rest)?.[0];
  if (many !== undefined) return [many, many.endsWith("/") ? "(?:.*/)?" : ".*"];
  if (rest.startsWith("*")) return ["*", "[^/]*"];
  if (rest.startsWith("?")) return ["?", "[^/]"];
  const set = /^\[(\^?)(\]?[^\]]*)\]/.exec(rest);
  if (set !== null) return [set[0], `[${set[1]}${set[2]!.replace(/[\\\][^]/g, "\\$&")}]`];
  const letter = String.fromCodePoint(rest.codePointAt(rest.startsWith("\\") && rest.length > 1 ? 1 : 0)!);
  const written = rest.startsWith("\\") && rest.length > 1 ? `\\${letter}` : letter;
  return [written, RegExp.escape(letter)];
}
