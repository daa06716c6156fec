/** What a command is made of, and what it is called with. Types and small helpers: nothing here costs start-up time. */
import type { OciRuntime, RuntimeFacts, RuntimeOptions } from "../../standalone/types.ts";
import type { Flags, Values } from "./parse.ts";

/** The world, as the composition root gives it. */
export interface RuntimePorts {
  /** `warn` takes what has gone wrong and changes nothing. */
  runtime(options: RuntimeOptions, warn: (message: string) => void): Promise<OciRuntime>;
  facts(): Promise<RuntimeFacts>;
  /** Of this program: "1.2.3". */
  readonly version: string;
  /** Writes all of it before it returns: the process may end right after. */
  stdout(text: string): void;
  stderr(text: string): void;
  /** All of standard input. */
  stdin(): Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Effective user id. */
  readonly uid: number;
}

export type Level = "error" | "warning" | "debug";

/** One call of a command. */
export interface Call<F extends Flags> {
  readonly values: Values<F>;
  readonly args: readonly string[];
  readonly ports: RuntimePorts;
  /** The runtime at the root that was asked for. */
  runtime(): Promise<OciRuntime>;
  log(level: Level, message: string): Promise<void>;
}

/** One of runc's commands, with runc's flags. */
export interface Command<F extends Flags = Flags> {
  readonly summary: string;
  /** What follows the flags, for the help: "<container-id> [signal]". */
  readonly operands: string;
  readonly description?: string;
  readonly flags: F;
  /** How many arguments there may be. */
  readonly arity: readonly [min: number, max: number];
  /** Everything from the first argument on is the program's, flags too. */
  readonly flagsFirst?: true;
  /** How a failure is told where it is not "MESSAGE" and 1. */
  readonly failure?: { readonly prefix: string; readonly status: number };
  /** Resolves with the exit status. */
  run(call: Call<F>): Promise<number>;
}

/** Keeps the type of the table of flags for `run`. */
export const command = <const F extends Flags>(definition: Command<F>): Command<F> => definition;

/** The container the first argument names. */
export function containerOf({ args }: { readonly args: readonly string[] }): string {
  const [id] = args;
  if (!id) throw new Error("container id cannot be empty");
  return id;
}

/** Without the members that are undefined. */
export function defined<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  for (const key in members) if (members[key] !== undefined) kept[key] = members[key] as Exclude<T[typeof key], undefined>;
  return kept;
}

/** A path as the kernel would read it from `cwd`, without ".", ".." and empty parts; undefined stays so, "" counts as it. */
export function absolute(cwd: string, path: string | undefined): string | undefined {
  if (!path) return undefined;
  const parts: string[] = [];
  for (const part of (path.startsWith("/") ? path : `${cwd}/${path}`).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}
