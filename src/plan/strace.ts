/**
 * What strace must see when a plan is carried out, and what it saw: the two are compared to prove that `explain` is true.
 *
 * Only what both know for sure is compared: the call's name, its strings and its flags. Descriptor numbers are the kernel's.
 */
import { errnoName } from "../sys/errno.ts";
import { AT_FDCWD, type Op, type Plan, reg, signatures } from "./ops.ts";

export interface TracedCall {
  readonly name: string;
  readonly strings: readonly string[];
  /** The line's arguments, as strace prints them. */
  readonly text: string;
  /** Negative errors have their name here: "ENOENT". */
  readonly error?: string;
}

const stringsOf = (op: Op): string[] =>
  Object.entries(signatures[op.kind].args).flatMap(([name, type]) => {
    const value = (op as unknown as Readonly<Record<string, unknown>>)[name];
    if (type === "str") return [value as string];
    // the environment is printed as a count, the arguments in full
    return type === "strs" && name === "argv" ? (value as string[]) : [];
  });

/** The calls in strace's output (`-e quiet=all`, one process), in order; signals, exits and what is not a call are left out. */
export function parseStrace(output: string): TracedCall[] {
  const calls: TracedCall[] = [];
  for (const line of output.split("\n")) {
    const match = /^(?:\[pid +\d+\] |\d+ +)?(?:[\d.:]+ +)?([a-z_0-9]+)\((.*)\) += (-?\d+|\?)(?: (E[A-Z0-9]+))?/s.exec(line);
    if (!match) continue;
    const [, name = "", text = "", , error] = match;
    calls.push({ name, text, strings: quotedStrings(text), ...(error === undefined ? {} : { error }) });
  }
  return calls;
}

/** The double-quoted strings of a line, with C's escapes undone. */
function quotedStrings(text: string): string[] {
  const strings: string[] = [];
  for (const [, body = ""] of text.matchAll(/"((?:[^"\\]|\\.)*)"/g)) strings.push(unescaped(body));
  return strings;
}

const escapes: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", v: "\v", f: "\f", '"': '"', "\\": "\\" };

function unescaped(body: string): string {
  return body.replace(/\\([0-7]{1,3}|x[0-9a-f]{2}|.)/g, (_, code: string) => {
    if (/^[0-7]/.test(code)) return String.fromCharCode(Number.parseInt(code, 8));
    if (/^x/.test(code)) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    return escapes[code] ?? code;
  });
}

export interface Difference {
  /** Index of the operation in `child`, its length for calls after the last. */
  readonly index: number;
  readonly expected: string;
  readonly found: string;
}

/**
 * The first place where the child's calls are not the plan's, null if there is none. `traced` starts after clone3 and ends with
 * the successful execve. The executor's rules are followed: an operation whose register is unset makes no call, and only an
 * accepted failure lets the plan go on. strace cuts strings off at its -s: a prefix of `stringLimit` counts as equal.
 */
export function compareTrace(plan: Plan, traced: readonly TracedCall[], stringLimit = 4096): Difference | null {
  const set = registersAtClone(plan);
  let at = 0;
  for (const [index, op] of plan.child.entries()) {
    const name = signatures[op.kind].call;
    if (name === "") continue;
    if (registersOf(op).some((register) => register !== AT_FDCWD && !set.has(register))) {
      if (op.out !== undefined) set.delete(op.out);
      continue;
    }
    const found = traced[at++];
    const failedAsAccepted = found?.error === undefined || (op.accept ?? []).some((number) => errnoName(number) === found.error);
    if (!found || found.name !== name || !failedAsAccepted || !hasStrings(found, stringsOf(op), stringLimit)) {
      return { index, expected: `${name}(${stringsOf(op).map(quote).join(", ")})`, found: found ? spell(found) : "nothing" };
    }
    if (op.out !== undefined && found.error === undefined) set.add(op.out);
    else if (op.out !== undefined) set.delete(op.out);
    if (op.kind === "close") set.delete(op.fd);
    if (op.kind === "execve" && found.error === undefined) break;
  }
  const extra = traced[at];
  return extra ? { index: plan.child.length, expected: "nothing", found: spell(extra) } : null;
}

const quote = (text: string): string => JSON.stringify(text);
const spell = ({ name, text, error }: TracedCall): string => `${name}(${text})${error ? ` = ${error}` : ""}`;

const registersOf = (op: Op): number[] =>
  Object.entries(signatures[op.kind].args).flatMap(([name, type]) =>
    type === "reg" ? [(op as unknown as Readonly<Record<string, number>>)[name] as number] : [],
  );

/** What the shim has filled when the child begins to work; the child waits for `after` where there is one. */
function registersAtClone({ before, after, supervision }: Plan): Set<number> {
  const streams = supervision.tty ? [] : [reg.stdin, reg.stdout, reg.stderr];
  const passed = Array.from({ length: reg.free - reg.passed }, (_, i) => reg.passed + i);
  const set = new Set<number>([...streams, reg.sync, reg.peer, reg.state, ...passed]);
  for (const op of [...before, ...after]) {
    if (op.out !== undefined) set.add(op.out);
    if (op.kind === "close") set.delete(op.fd);
  }
  return set;
}

/** strace prints more strings than the plan has for some calls: what is written, what a number means. */
function hasStrings(found: TracedCall, strings: readonly string[], limit: number): boolean {
  let from = 0;
  return strings.every((text) => {
    const place = found.strings.findIndex((other, i) => i >= from && other === text.slice(0, limit));
    from = place + 1;
    return place >= 0;
  });
}
