import { messageOf } from "../lib/errors.ts";
import { type Context, line } from "./context.ts";
import { Exit } from "./errors.ts";

/**
 * Does the same for every argument, all at once, and prints what each gives in the order of the arguments. What fails is told
 * and does not keep the others from being done; the exit code is then 1, unless it is of the code that is `tolerated`.
 */
export async function each<T>(
  context: Context,
  args: readonly T[],
  act: (arg: T) => Promise<string | undefined>,
  tolerated?: string,
): Promise<number> {
  const outcomes = await Promise.allSettled(args.map(act));
  let exitCode = 0;
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") {
      if (outcome.value !== undefined) await line(context.stdout, outcome.value);
    } else {
      if (outcome.reason instanceof Exit) throw outcome.reason;
      await line(context.stderr, `onggi: ${messageOf(outcome.reason)}`);
      if (tolerated === undefined || outcome.reason?.code !== tolerated) exitCode = 1;
    }
  }
  return exitCode;
}
