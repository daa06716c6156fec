/** C0 and C1 controls, line and paragraph separators, what changes the direction of text, halves of surrogate pairs. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]+/gu;

/** Foreign text for a message of ours: on one line, only characters that show, at most `limit` of them. */
export const printable = (text: string, limit = 200): string => {
  const characters = [
    ...text
      .slice(0, limit * 4)
      .replace(unprintable, " ")
      .replace(/ {2,}/g, " ")
      .trim(),
  ];
  return characters.length <= limit ? characters.join("") : `${characters.slice(0, limit - 1).join("")}…`;
};

/** What a terminal does not show but obeys: controls, line ends, marks that turn the direction of text. */
const obeyed = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Foreign text for a line of a table, whole: what a terminal would obey is spelled out, as in "\x1b[31m". */
export const visible = (text: string): string => text.replace(obeyed, spelledOut);

const letters: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

const spelledOut = (character: string): string => {
  const code = character.charCodeAt(0).toString(16);
  return letters[character] ?? (code.length <= 2 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`);
};
