/**
 * A command line as words, the way compose splits `command: echo "a b"`: quotes of both kinds and backslashes as in a shell, nothing
 * is expanded. Undefined if a quote is left open. What would end a command in a shell (; & | < >) ends it here; `cut` is then what
 * follows.
 */
export function shellWords(line: string): { words: string[]; cut: string } | undefined {
  const words: string[] = [];
  let word = "";
  let begun = false;
  let quote = "";
  for (let at = 0; at < line.length; at++) {
    const letter = line[at]!;
    if (letter === "\\" && quote !== "'") {
      at++;
      if (at >= line.length) return undefined;
      word += line[at];
      begun = true;
    } else if (quote !== "") {
      if (letter === quote) quote = "";
      else word += letter;
    } else if (letter === '"' || letter === "'") {
      quote = letter;
      begun = true;
    } else if (/\s/.test(letter)) {
      if (begun) words.push(word);
      word = "";
      begun = false;
    } else if (";&|<>".includes(letter)) {
      if (begun) words.push(word);
      return { words, cut: line.slice(at) };
    } else {
      word += letter;
      begun = true;
    }
  }
  if (quote !== "") return undefined;
  if (begun) words.push(word);
  return { words, cut: "" };
}
