/** Plans for people and programs to read: every call with its arguments spelled out, and the reason for it. */
import { errnoName } from "../sys/errno.ts";
import { spellClone, spellNumber } from "./flags.ts";
import { type ArgType, AT_FDCWD, type Group, type Op, type Plan, type Reg, reg, type Section, signatures } from "./ops.ts";

/** One operation, printed. */
export interface PrintedOp {
  readonly section: Section;
  /** Position in its section, as a failure reports it. */
  readonly index: number;
  readonly group: Group;
  readonly why: string;
  readonly kind: Op["kind"];
  /** The system call's name; empty for an operation that makes none. */
  readonly call: string;
  /** "fsopen(\"proc\", FSOPEN_CLOEXEC)". */
  readonly text: string;
  /** Name of the register that gets the result. */
  readonly out?: string;
  /** Names of the errnos that are no failure. */
  readonly accept?: readonly string[];
}

const fixedNames: Readonly<Record<number, string>> = {
  [reg.stdin]: "stdin",
  [reg.stdout]: "stdout",
  [reg.stderr]: "stderr",
  [reg.ptyMaster]: "ptyMaster",
  [reg.sync]: "sync",
  [reg.state]: "state",
  [reg.oom]: "oom",
  [reg.peer]: "peer",
};

/** Names registers after what was put into them; one register has another name each time it is used again. */
class RegisterNames {
  private readonly names = new Map<Reg, string>();
  private readonly used = new Map<string, number>();

  of(register: Reg): string {
    if (register === AT_FDCWD) return "AT_FDCWD";
    const fixed = fixedNames[register] ?? (register < reg.free ? `passed${register - reg.passed}` : undefined);
    return `$${fixed ?? this.names.get(register) ?? register}`;
  }

  set(op: Op): string | undefined {
    if (op.out === undefined) return undefined;
    if (op.out < reg.free) return this.of(op.out);
    const base = this.baseName(op);
    const count = (this.used.get(base) ?? 0) + 1;
    this.used.set(base, count);
    this.names.set(op.out, count === 1 ? base : `${base}#${count}`);
    return this.of(op.out);
  }

  private baseName(op: Op): string {
    const last = (path: string) => path.split("/").findLast((part) => part !== "" && part !== ".");
    const plain = (register: Reg) => this.of(register).slice(1).replace(/#.*/, "");
    switch (op.kind) {
      case "fsopen":
        return `${op.fstype}.fs`;
      case "fsmount":
        return plain(op.fs).replace(/\.fs$/, "");
      case "open":
        if (op.dir === AT_FDCWD && op.path === "/") return "host-root";
        return last(op.path) ?? `${plain(op.dir)}.dir`;
      case "openTree":
        return `${last(op.path) ?? plain(op.dir)}.tree`;
      case "openProc":
        return "child";
      case "pidfdOpen":
        return "pidfd";
      case "ioctlInt":
        return "slave";
      default:
        return op.kind;
    }
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Text as a string, numbers as numbers, the rest by its length. */
function spellBytes(op: Op, bytes: Uint8Array): string {
  if (op.kind === "setgroups") return `[${[...new Uint32Array(bytes.slice().buffer)].join(", ")}]`;
  if (op.kind === "write" || op.kind === "sethostname" || op.kind === "setdomainname") {
    try {
      return JSON.stringify(utf8.decode(bytes));
    } catch {
      // not text
    }
  }
  return bytes.length <= 8
    ? `{${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ")}}`
    : `{${bytes.length} bytes}`;
}

function spellArgument(op: Op, name: string, type: ArgType, names: RegisterNames): string {
  const args = op as unknown as Readonly<Record<string, never>>;
  const value = args[name] as unknown;
  switch (type) {
    case "reg":
      return names.of(value as Reg);
    case "int":
      return spellNumber(op.kind, name, value as number | bigint, args);
    case "str":
      return JSON.stringify(value);
    case "bytes":
      return spellBytes(op, value as Uint8Array);
    case "strs":
      return name === "envp" ? `{${(value as string[]).length} variables}` : JSON.stringify(value);
  }
}

function printOp(op: Op, section: Section, index: number, names: RegisterNames): PrintedOp {
  const { call, args } = signatures[op.kind];
  const spelled = Object.entries(args).map(([name, type]) => spellArgument(op, name, type as ArgType, names));
  const out = names.set(op);
  return {
    section,
    index,
    group: op.group,
    why: op.why,
    kind: op.kind,
    call,
    text: `${callName(op)}(${spelled.join(", ")})`,
    ...(out === undefined ? {} : { out }),
    ...(op.accept && op.accept.length > 0 ? { accept: op.accept.map(errnoName) } : {}),
  };
}

/** Kinds that share a system call are told apart by what they do with it. */
function callName(op: Op): string {
  switch (op.kind) {
    case "fsconfigFlag":
    case "fsconfigString":
    case "fsconfigFd":
    case "fsconfigCreate":
      return `fsconfig ${op.kind.slice("fsconfig".length).toLowerCase()}`;
    case "mountIdmap":
      return "mount_setattr idmap";
    case "notify":
    case "await":
    case "release":
    case "fail":
    case "fork":
    case "lookUp":
    case "awaitStart":
    case "sendFd":
    case "runHook":
      return op.kind;
    case "openProc":
      return "open /proc/CHILD";
    default:
      return signatures[op.kind].call;
  }
}

const sections: readonly Section[] = ["before", "after", "child"];

/** Every operation of a plan in the order of execution. */
export function printPlan(plan: Plan): PrintedOp[] {
  const names = new RegisterNames();
  return sections.flatMap((section) => plan[section].map((op, index) => printOp(op, section, index, names)));
}

/** "$upper = openat2(...) or ENOENT". */
function line({ out, text, accept }: PrintedOp): string {
  return `${out ? `${out} = ` : ""}${text}${accept ? ` or ${accept.join(", ")}` : ""}`;
}

/** The clone3 call of a plan. */
export function printClone({ clone, before }: Plan): string {
  const names = new RegisterNames();
  for (const op of before) names.set(op);
  const cgroup = clone.cgroup === undefined ? "" : `|CLONE_INTO_CGROUP, cgroup=${names.of(clone.cgroup)}`;
  return `clone3(${spellClone(clone.flags)}${cgroup})`;
}

/** A plan without reasons: one line per call, a line per section. For tests that state whole plans. */
export function planLines(plan: Plan): string[] {
  const printed = printPlan(plan);
  const of = (section: Section) => printed.filter((op) => op.section === section).map((op) => `  ${line(op)}`);
  return ["before", ...of("before"), printClone(plan), "after", ...of("after"), "child", ...of("child")];
}

const titles: Readonly<Record<Section, string>> = {
  before: "In the shim, before the process exists",
  after: "In the shim, while the new process waits",
  child: "In the new process, until it becomes the program",
};

export interface ExplainOptions {
  /** With ANSI colours. */
  readonly colour?: boolean;
  /** Column the reasons start at. Default 96. */
  readonly column?: number;
  /** What is written to files before the plan is carried out. */
  readonly written?: readonly WrittenFile[];
}

export interface WrittenFile {
  readonly file: string;
  readonly value: string;
  /** Which limit that sets. */
  readonly limit: string;
}

function explainWritten(
  written: readonly WrittenFile[],
  paint: (code: string, text: string) => string,
  column: number,
): string[] {
  if (written.length === 0) return [];
  const line = ({ file, value, limit }: WrittenFile): string =>
    `${`    write(${JSON.stringify(file)}, ${JSON.stringify(value)})`.padEnd(column)}  ${paint("2", `limit ${limit}`)}`;
  return [paint("1", "In the engine, before the shim"), `  ${paint("36", "cgroups")}`, ...written.map(line), ""];
}

/** A plan as a person reads it: by section and group, in the order of execution, reasons at the right. */
export function explain(plan: Plan, { colour = false, column = 96, written = [] }: ExplainOptions = {}): string {
  const paint = (code: string, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const lines = explainWritten(written, paint, column);
  const printed = printPlan(plan);
  for (const section of sections) {
    const ops = printed.filter((op) => op.section === section);
    if (section === "after") lines.push(paint("1", "The process is made"), `    ${printClone(plan)}`, "");
    if (ops.length === 0) continue;
    lines.push(paint("1", titles[section]));
    let group: Group | undefined;
    let why: string | undefined;
    for (const op of ops) {
      if (op.group !== group) lines.push(`  ${paint("36", op.group)}`);
      const text = `    ${line(op)}`;
      // a reason is said once for the calls that share it
      const reason = op.why === why && op.group === group ? "" : op.why;
      lines.push(reason === "" ? text : `${text.padEnd(column)}  ${paint("2", reason)}`);
      group = op.group;
      why = op.why;
    }
    lines.push("");
  }
  return lines.join("\n");
}

/** A plan as data, for `onggi explain --json`. */
export function explainJson(plan: Plan): { clone: string; operations: PrintedOp[]; supervision: Plan["supervision"] } {
  return { clone: printClone(plan), operations: printPlan(plan), supervision: plan.supervision };
}
