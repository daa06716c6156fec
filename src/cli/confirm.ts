import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";

/** Warns and asks, as Docker does; true after a "y". Throws UsageError where nobody answers: no terminal, and nothing on standard input. */
export async function confirmed(context: Context, warning: string): Promise<boolean> {
  await context.stdout.write(`WARNING! ${warning}\nAre you sure you want to continue? [y/N] `);
  let answer = "";
  for await (const chunk of context.stdin()) {
    answer += new TextDecoder().decode(chunk);
    if (answer.includes("\n")) break;
  }
  if (answer === "" && !(await context.terminal()).isTerminal(0))
    throw new UsageError("nobody is there to be asked: use --force");
  return /^y(es)?$/i.test(answer.split("\n")[0]!.trim());
}
