import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AT_FDCWD, type Op, type Plan } from "./ops.ts";
import { compareTrace, parseStrace } from "./strace.ts";

const common = { group: "mounts", why: "test" } as const;
const open = (path: string, accept: number[] = []): Op => ({
  kind: "open",
  dir: AT_FDCWD,
  path,
  flags: 0,
  mode: 0,
  resolve: 0,
  out: 24,
  accept,
  ...common,
});
const child: Op[] = [
  open("/maybe", [2]),
  { kind: "close", fd: 24, ...common },
  { kind: "chdir", path: "/", ...common },
  { kind: "execve", path: "/a/x", argv: ["x"], envp: [], accept: [2], ...common },
  { kind: "execve", path: "/b/x", argv: ["x"], envp: [], accept: [2], ...common },
  { kind: "fail", ...common },
];
const supervision = { tty: false, openStdin: false, stdinOnce: false, log: null, exitPath: null, durable: false } as const;
const plan: Plan = { before: [], clone: { flags: 0 }, after: [], child, supervision };

const opened = 'openat2(AT_FDCWD, "/maybe", {flags=O_RDONLY}, 24) = 7';
const missing = 'openat2(AT_FDCWD, "/maybe", {flags=O_RDONLY}, 24) = -1 ENOENT (No such file or directory)';
const rest = ['chdir("/") = 0', 'execve("/a/x", ["x"], 0x1 /* 0 vars */) = 0'];
const trace = (...lines: string[]) => parseStrace(lines.join("\n"));

describe("a trace", () => {
  test("of the plan's calls is the plan's", () => {
    expect(compareTrace(plan, trace(opened, "close(7) = 0", ...rest))).toBeNull();
    expect(compareTrace(plan, trace(missing, ...rest))).toBeNull();
    const second = ['chdir("/") = 0', 'execve("/a/x", ["x"], 0x1) = -1 ENOENT (No such file)', 'execve("/b/x", ["x"], 0x1) = 0'];
    expect(compareTrace(plan, trace(missing, ...second, "+++ exited with 0 +++"))).toBeNull();
  });

  test.each<[string, string[], number]>([
    ["lacks a call", [opened, ...rest], 1],
    ["makes a call whose descriptor is not there", [missing, "close(7) = 0", ...rest], 2],
    ["has another string", [opened.replace("maybe", "other"), "close(7) = 0", ...rest], 0],
    ["goes on after a failure the plan does not accept", [opened, "close(7) = -1 EBADF (Bad file descriptor)", ...rest], 1],
    ["has a call too many", [opened, "close(7) = 0", ...rest, "getpid() = 1"], 6],
    ["ends early", [opened, "close(7) = 0"], 2],
  ])("that %s is not", (_, lines, index) => {
    expect(compareTrace(plan, trace(...lines))?.index).toBe(index);
  });
});

test("strings come out of strace's escapes", () => {
  expect(trace('write(3, "a\\n\\"b\\"\\\\\\33\\x7f", 9) = 9')[0]?.strings).toEqual(['a\n"b"\\\x1b\x7f']);
});

test("any output is parsed without an error", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      parseStrace(`x(${text}) = 0\n${text}`);
    }),
  );
});
