import type { Context } from "./context.ts";
import type { Completion, Flags, Values } from "./flags.ts";

/** One command: its module exports it as `command`. */
export interface Command<F extends Flags = Flags> {
  /** After the command's name: "[flags] IMAGE [COMMAND] [ARG...]". */
  readonly usage: string;
  readonly summary: string;
  readonly flags: F;
  /** At least and at most how many arguments. */
  readonly args: readonly [min: number, max: number];
  /** Flags stop at the first argument: what follows belongs to the container. */
  readonly flagsFirst?: boolean;
  readonly complete?: Completion;
  /** Command lines without the leading "onggi", each with what it does. */
  readonly examples: readonly (readonly [line: string, what: string])[];
  /** What its exit codes mean, where that is more than 0, 1 and wrong use: for "Exit code: ...". */
  readonly exits?: string;
  /** Exit code of an error that has none of its own; 1 if absent. */
  readonly failure?: number;
  /** Its exit code. `before`: the flags of its group. */
  run(context: Context, values: Values<F>, args: readonly string[], before: Values<Flags>): Promise<number>;
}

/** Gives a command its types. */
export const define = <const F extends Flags>(command: Command<F>): Command<F> => command;

/** One command in the index: a line for the help, and where its module is. */
export interface Entry {
  readonly summary: string;
  /** Left out of the overview. */
  readonly hidden?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: commands with any table of flags share one index
  load(): Promise<Command<any>>;
}

export interface Group {
  readonly summary: string;
  /** Those that stand between its name and its command's. */
  readonly flags?: Flags;
  /** The command that is meant where none is named: "snapshot web" is "snapshot create web". */
  readonly otherwise?: string;
  readonly commands: Readonly<Record<string, Entry>>;
}
