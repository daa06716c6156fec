/** Plans made by hand, for driving a real shim. */
import type { Op, Plan, Reg, Supervision } from "../../src/plan/ops.ts";
import { AT_FDCWD, event, reg } from "../../src/plan/ops.ts";
import { CLONE, O } from "../../src/sys/constants.ts";

/** An operation without the words that only a reader needs. */
type Terse = Op extends infer T ? (T extends Op ? Omit<T, "group" | "why"> : never) : never;
export const op = (terse: Terse): Op => ({ group: "process", why: "", ...terse }) as Op;

export const BUSYBOX = "/bin/busybox";
export const CLONE_FILES = 0x400;
export const NAMESPACES =
  CLONE.CLONE_NEWNS | CLONE.CLONE_NEWPID | CLONE.CLONE_NEWNET | CLONE.CLONE_NEWIPC | CLONE.CLONE_NEWUTS | CLONE.CLONE_NEWCGROUP;

export const open = (path: string, flags: number, out: Reg, dir: Reg = AT_FDCWD): Op =>
  op({ kind: "open", dir, path, flags: flags | O.O_CLOEXEC, mode: 0, resolve: 0, out });

/** The child's standard streams become 0, 1, 2. */
const pipes: readonly Op[] = [reg.stdin, reg.stdout, reg.stderr].map((fd, target) => op({ kind: "dup", fd, target, flags: 0 }));

export const leaveTable = op({ kind: "unshare", flags: CLONE_FILES });
export const handshake: readonly Op[] = [op({ kind: "notify", event: event.created }), op({ kind: "await" })];

/** Opens /dev/ptmx of the host as the terminal; its other end becomes 0, 1, 2 and the controlling terminal. */
export const terminal: readonly Op[] = [
  open("/dev/ptmx", O.O_RDWR | O.O_NOCTTY, reg.ptyMaster),
  op({ kind: "ioctlData", fd: reg.ptyMaster, request: 0x40045431, data: new Uint8Array(4) }), // TIOCSPTLCK
  op({ kind: "ioctlInt", fd: reg.ptyMaster, request: 0x5441, value: O.O_RDWR | O.O_NOCTTY, out: 60 }), // TIOCGPTPEER
];
const terminalStreams: readonly Op[] = [
  ...[0, 1, 2].map((target) => op({ kind: "dup", fd: 60, target, flags: 0 })),
  op({ kind: "ioctlInt", fd: 60, request: 0x540e, value: 0 }), // TIOCSCTTY
];

export const execve = (argv: readonly string[], env: readonly string[] = ["PATH=/usr/bin:/bin"]): Op =>
  op({ kind: "execve", path: BUSYBOX, argv, envp: env });

export interface PlanParts {
  readonly flags?: number;
  readonly before?: readonly Op[];
  readonly after?: readonly Op[];
  /** Replaces the whole child section. */
  readonly child?: readonly Op[];
  /** Before the hand-shake, in the shared descriptor table. */
  readonly setUp?: readonly Op[];
  readonly supervision?: Partial<Supervision>;
}

const quiet: Supervision = {
  tty: false,
  openStdin: false,
  stdinOnce: false,
  log: null,
  exitPath: "exit",
  durable: true,
};

/** A plan that runs `argv` of busybox: `sh("echo hello")`. */
export function planOf(argv: readonly string[], parts: PlanParts = {}): Plan {
  const tty = parts.supervision?.tty ?? false;
  const child = parts.child ?? [
    ...(parts.setUp ?? []),
    ...(tty ? terminal : []),
    leaveTable,
    op({ kind: "setsid" }),
    ...(tty ? terminalStreams : pipes),
    ...handshake,
    execve(argv),
  ];
  return {
    before: parts.before ?? [],
    clone: { flags: parts.flags ?? 0 },
    after: parts.after ?? [],
    child,
    supervision: { ...quiet, ...parts.supervision },
  };
}

export const sh = (script: string, parts: PlanParts = {}): Plan => planOf(["sh", "-c", script], parts);
