/** What is not a plan and what is not a frame: neither harms a running container. As root. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync, statSync } from "node:fs";
import { join } from "node:path";
import { encodeFrame, FrameDecoder, reply, request, words } from "../../src/native/protocol.ts";
import { Shim } from "../../src/native/shim.ts";
import { encode } from "../../src/plan/encode.ts";
import { openDir } from "../../src/sys/file.ts";
import { read, write } from "../../src/sys/io.ts";
import { unixConnect } from "../../src/sys/socket.ts";
import { alive, cleanUp, descriptors, run, SHIM, spawn, stateDir, until } from "./kit.ts";
import { handshake, leaveTable, op, planOf, sh } from "./plans.ts";

afterEach(cleanUp);

function connect(dir: string): number {
  const state = openDir(dir);
  const fd = unixConnect(state, "shim.sock");
  closeSync(state);
  return fd;
}

/** Sends bytes and reads what comes until the shim closes. */
function answers(fd: number): number[] {
  const types: number[] = [];
  const decoder = new FrameDecoder();
  const piece = new Uint8Array(4096);
  for (;;) {
    let length = 0;
    try {
      length = read(fd, piece);
    } catch {
      // reset, because it left unread what was sent
    }
    if (length <= 0) break;
    decoder.push(piece.slice(0, length), ({ type }) => types.push(type));
  }
  closeSync(fd);
  return types;
}

const header = (length: number, type: number, process = 0): Uint8Array => {
  const frame = encodeFrame(type, process);
  new DataView(frame.buffer).setUint32(0, length, true);
  return frame;
};

describe("a connection", () => {
  test.each<[string, Uint8Array]>([
    ["a frame over 1 MiB", header((1 << 20) + 1, request.stdin)],
    ["a plan over 16 MiB", header((16 << 20) + 9, request.exec)],
    ["a length of four bytes of ones", header(0xffffffff, request.stdin)],
    ["ATTACH without its words", encodeFrame(request.attach, 0, new Uint8Array(7))],
    ["EXEC without its words", encodeFrame(request.exec, 0, new Uint8Array(4))],
    ["RESIZE of two bytes", encodeFrame(request.resize, 0, new Uint8Array(2))],
    ["KILL without a signal", encodeFrame(request.kill, 0)],
    ["HTTP", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n")],
  ])("that sends %s is closed, and nothing else is", async (_, bytes) => {
    const dir = stateDir();
    const shim = await spawn(sh("sleep 0.3; exit 2"), dir);
    shim.start();
    await shim.main.started;
    const fd = connect(dir);
    write(fd, bytes);
    expect(answers(fd)[0]).toBe(reply.hello);
    expect((await shim.status())[0]?.state).toBe("running");
    expect((await shim.main.exited).exitCode).toBe(2);
  });

  test("that sends what a newer engine might is answered as before", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("sleep 60"), dir);
    await shim.main.created;
    const fd = connect(dir);
    write(fd, encodeFrame(999, 77, new Uint8Array(100)));
    write(fd, encodeFrame(request.hello, 0, words(2, 3, 4)));
    write(fd, encodeFrame(request.status, 0, new Uint8Array(50)));
    const types: number[] = [];
    const decoder = new FrameDecoder();
    const piece = new Uint8Array(4096);
    while (!types.includes(reply.status)) decoder.push(piece.slice(0, read(fd, piece)), ({ type }) => types.push(type));
    expect(types).toEqual([reply.hello, reply.created, reply.status]);
    closeSync(fd);
    expect((await shim.status())[0]?.state).toBe("created");
  });

  test("that comes byte by byte is understood", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("true"), dir);
    await shim.main.created;
    const fd = connect(dir);
    for (const byte of encodeFrame(request.start, 0)) {
      write(fd, Uint8Array.of(byte));
      await Bun.sleep(1);
    }
    expect((await shim.main.exited).exitCode).toBe(0);
    closeSync(fd);
  });

  test("in hundreds, or of a stranger, is refused", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("sleep 60"), dir);
    expect(statSync(join(dir, "shim.sock")).mode & 0o777).toBe(0o600);
    const many = Array.from({ length: 300 }, () => connect(dir));
    await until(() => descriptors(shim.pid).length > 200);
    expect((await shim.status())[0]?.process).toBe(0);
    expect(descriptors(shim.pid).length).toBeLessThan(300);
    for (const fd of many) closeSync(fd);
    await until(() => descriptors(shim.pid).length < 20);
  });
});

describe("a plan", () => {
  const good = encode(planOf(["true"]));
  const changed = (change: (view: DataView, bytes: Uint8Array) => void): Uint8Array => {
    const bytes = good.slice();
    change(new DataView(bytes.buffer), bytes);
    return bytes;
  };
  const opAt = (index: number) => 96 + 64 * index;

  test.each<[string, Uint8Array, RegExp, number | null]>([
    ["nothing", new Uint8Array(0), /cannot be read/, null],
    ["text", new TextEncoder().encode("#!/bin/sh\n"), /not a plan/, null],
    ["a plan of another version", changed((view) => view.setUint32(8, 2, true)), /another version/, null],
    ["a plan that is cut", good.slice(0, -1), /longer or shorter/, null],
    ["clone flags that share memory", changed((view) => view.setBigUint64(16, 0x100n, true)), /clone flags/, null],
    ["more operations than there are", changed((view) => view.setUint32(36, 60000, true)), /end elsewhere/, null],
    ["an unknown operation", changed((view) => view.setUint16(opAt(1), 999, true)), /does not know/, 1],
    ["an argument too many", changed((view) => view.setUint8(opAt(1) + 3, 3)), /number of arguments/, 1],
    ["a register that is none", changed((view) => view.setBigUint64(opAt(2) + 16, 255n, true)), /no such register/, 2],
    ["a result where there is none", changed((view) => view.setUint8(opAt(1) + 2, 30)), /returns no descriptor/, 1],
    ["a string beyond the end", changed((view) => view.setBigUint64(opAt(7) + 16, 0xffff_0000_0000n | 96n, true)), /string/, 7],
  ])("that is %s ends the shim with status 64", async (_, bytes, message, index) => {
    const dir = stateDir();
    const shim = await spawn(bytes, dir);
    await expect(shim.main.created).rejects.toMatchObject({ failure: { section: "decode", index } });
    expect(shim.main.failure?.text).toMatch(message);
    expect((await shim.main.exited).neverStarted).toBe(true);
    await until(() => !alive(shim.pid));
  });

  test("with an operation of the other process is refused", async () => {
    const wrong = await spawn(planOf([], { before: [op({ kind: "execve", path: "/bin/true", argv: [], envp: [] })] }));
    await expect(wrong.main.created).rejects.toMatchObject({ failure: { section: "decode", index: 0 } });
    const child = await spawn(planOf([], { child: [leaveTable, ...handshake, op({ kind: "release" })] }));
    await expect(child.main.created).rejects.toMatchObject({ failure: { section: "decode", index: 3 } });
  });

  test("with bytes changed at random never harms the shim", async () => {
    const shim = await spawn(sh("sleep 60"));
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    // Only its header and references are changed, and what is left to run is harmless.
    const plan = encode(planOf([], { child: [leaveTable, op({ kind: "chdir", path: "/" }), op({ kind: "umask", mask: 0 })] }));
    for (let round = 0; round < 200; round++) {
      const bytes = plan.slice();
      for (let n = 0; n <= random(4); n++) bytes[random(96 + 64 * 3)] = random(256);
      if (bytes[96] !== plan[96] || bytes[160] !== plan[160] || bytes[224] !== plan[224]) continue;
      const { process } = await shim.exec(bytes);
      await process.exited;
      expect(process.failure).not.toBeNull();
    }
    expect((await shim.status())[0]?.state).toBe("created");
  });
});

test("a long state directory is no obstacle", async () => {
  const dir = stateDir();
  const long = join(dir, "d".repeat(120));
  await Bun.$`mkdir ${long}`.quiet();
  expect((await run(sh("echo here"), long)).stdout).toBe("here\n");
  await expect(Shim.connect(join(dir, "nowhere"))).rejects.toMatchObject({ code: "shim_gone" });
  await expect(
    Shim.spawn({ shimPath: `${SHIM}-missing`, id: "x", stateDir: dir, plan: new Uint8Array(0), passedFds: [] }),
  ).rejects.toThrow();
});
