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
