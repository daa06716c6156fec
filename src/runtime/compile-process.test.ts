import { describe, expect, test } from "bun:test";
import { type Op, reg } from "../plan/ops.ts";
import { errno } from "../sys/errno.ts";
import { Registers, Writer } from "./compile-builder.ts";
import { compileStreamOwner, compileStreams } from "./compile-process.ts";
import type { StandaloneProcess } from "./types.ts";

function streams(terminal: number | null, standalone: StandaloneProcess): readonly Op[] {
  const child = new Writer(new Registers());
  compileStreams(child, terminal, standalone);
  return child.ops.filter(({ why }) => why === "use the container's own /dev/null");
}

describe("streams that are the host's null device", () => {
  test("become the container's own, if it has one", () => {
    const [open, ...rest] = streams(null, { preserveFds: 0, nullStreams: [0, 2] });
    expect(open).toMatchObject({ kind: "open", dir: -100, path: "/dev/null", out: reg.free });
    expect(open?.accept).toContain(errno.ENOENT);
    expect(rest).toMatchObject([
      { kind: "dup", fd: reg.free, target: 0, flags: 0 },
      { kind: "dup", fd: reg.free, target: 2, flags: 0 },
      { kind: "close", fd: reg.free },
    ]);
  });

  test("are no concern of others", () => {
    expect(streams(null, { preserveFds: 0 })).toEqual([]);
    expect(streams(null, { preserveFds: 0, nullStreams: [] })).toEqual([]);
    expect(streams(7, { preserveFds: 0, nullStreams: [0] })).toEqual([]);
  });

  test("stay the host's", () => {
    const given = (openStdin: boolean, nullStreams?: readonly number[]) => {
      const host = new Writer(new Registers());
      const supervision = { tty: false, openStdin, stdinOnce: false, log: null, exitPath: null, durable: false };
      compileStreamOwner(host, supervision, 1000, nullStreams);
      return host.ops.map((op) => (op.kind === "chown" ? op.dir : op.kind));
    };
    expect(given(false)).toEqual([reg.stdout, reg.stderr]);
    expect(given(true)).toEqual([reg.stdin, reg.stdout, reg.stderr]);
    expect(given(true, [0, 2])).toEqual([reg.stdout]);
  });
});
