/**
 * Words of Dockerfile instructions: quotes, escapes and variables, as Docker reads them. Source: the Dockerfile reference, "escape"
 * and "Environment replacement".
 */

export type Variables = ReadonlyMap<string, string>;

/** Of "NAME=value" each; one without "=" is no variable. */
export const variablesOf = (env: readonly string[] = []): Variables =>
  new Map(
    env.filter((pair) => pair.includes("=")).map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
  );

/** Splits at white space outside of quotes. Quotes and escapes stay in the words. */
export function splitWords(text: string): string[] {
  return text.match(/(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s\\])+|\\$/gs) ?? [];
}

/** A word without its quotes and escapes, its variables replaced; nothing is replaced in single quotes. Throws SyntaxError. */
export function expandWord(word: string, variables: Variables): string {
  let out = "";
  let quoted = false;
  for (let at = 0; at < word.length; at += 1) {
    const char = word[at]!;
    if (char === "'" && !quoted) {
      const end = word.indexOf("'", at + 1);
      if (end < 0) throw new SyntaxError(`a quote is not closed: ${word}`);
      out += word.slice(at + 1, end);
      at = end;
    } else if (char === '"') {
      quoted = !quoted;
    } else if (char === "\\") {
      at += 1;
      const next = word[at] ?? "";
      // In double quotes a backslash is one unless it is needed.
      out += quoted && !/["$\\]/.test(next) ? `\\${next}` : next;
    } else if (char === "$") {
      const { value, length } = variable(word.slice(at), variables);
      out += value;
      at += length - 1;
    } else {
      out += char;
    }
  }
  if (quoted) throw new SyntaxError(`a quote is not closed: ${word}`);
  return out;
}

/** What stands for the variable at the beginning of `text`, and of how many characters its name is. */
function variable(text: string, variables: Variables): { value: string; length: number } {
  const plain = /^\$([A-Za-z_]\w*)/.exec(text);
  if (plain) return { value: variables.get(plain[1]!) ?? "", length: plain[0].length };
  if (!text.startsWith("${")) return { value: "$", length: 1 };
  const braced = /^\$\{([A-Za-z_]\w*)(?:\}|:([-+]))/.exec(text);
  if (!braced) throw new SyntaxError(`not a variable: ${text}`);
  const [whole, name = "", operator] = braced;
  const found = variables.get(name) ?? "";
  if (operator === undefined) return { value: found, length: whole.length };
  const end = closing(text, whole.length);
  const other = expandWord(text.slice(whole.length, end), variables);
  const value = operator === "-" ? found || other : found && other;
  return { value, length: end + 1 };
}

/** Where the brace closes that is open at `from`. */
function closing(text: string, from: number): number {
  let depth = 1;
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === "{") depth += 1;
    else if (text[at] === "}" && --depth === 0) return at;
  }
  throw new SyntaxError(`a brace is not closed: ${text}`);
}
