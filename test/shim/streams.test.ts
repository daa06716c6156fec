/** Standard streams: pipes, terminals, several clients, back-pressure. As root. */
import { afterEach, describe, expect, test } from "bun:test";
import { closeSync } from "node:fs";
import { encodeFrame, FrameDecoder, reply, request, words } from "../../src/native/protocol.ts";
import type { Shim } from "../../src/native/shim.ts";
import { openDir } from "../../src/sys/file.ts";
import { read, write } from "../../src/sys/io.ts";
import { unixConnect } from "../../src/sys/socket.ts";
import { cleanUp, descriptors, field, listener, run, SANITIZED, spawn, stateDir, until } from "./kit.ts";
import { planOf, sh } from "./plans.ts";

afterEach(cleanUp);

const text = (value: string) => new TextEncoder().encode(value);

async function started(shim: Shim): Promise<Shim> {
  shim.start();
  await shim.main.started;
  return shim;
}

describe("pipes", () => {
  test("carry megabytes through cat and back without loss, in order", async () => {
    const shim = await spawn(planOf(["cat"], { supervision: { openStdin: true } }));
    const sent = new Uint8Array(3_000_000).map((_, i) => (i * 31) >> 3);
    const got: Uint8Array[] = [];
    const attachment = await shim.attach(0, {
      stdin: true,
      stdout: true,
      lossless: true,
      onOutput: (_, data) => void got.push(data),
    });
    shim.start();
    await attachment.write(sent);
    await attachment.closeInput();
    await attachment.ended;
    expect((await shim.main.exited).exitCode).toBe(0);
    expect(Bun.hash(Buffer.concat(got))).toBe(Bun.hash(sent));
  });

  test("keep standard output and error apart", async () => {
    const { stdout, stderr } = await run(sh("echo out; echo err >&2; printf 'no end'"));
    expect({ stdout, stderr }).toEqual({ stdout: "out\nno end", stderr: "err\n" });
  });

  test("give /dev/null where input is not kept open", async () => {
    expect((await run(sh("readlink /proc/self/fd/0; cat"))).stdout).toBe("/dev/null\n");
  });

  test("end input when the first client goes, if the plan says so", async () => {
    const plan = (stdinOnce: boolean) => sh("cat >/dev/null; echo end", { supervision: { openStdin: true, stdinOnce } });
    const once = await started(await spawn(plan(true)));
    const first = await once.attach(0, { stdin: true });
    const second = await once.attach(0, { stdin: true });
    second.detach();
    await Bun.sleep(50);
    expect(once.main.hasExited).toBe(false);
    first.detach();
    expect((await once.main.exited).exitCode).toBe(0);

    const always = await started(await spawn(plan(false)));
    (await always.attach(0, { stdin: true })).detach();
    await Bun.sleep(50);
    const again = await always.attach(0, { stdin: true });
    await again.closeInput();
    expect((await always.main.exited).exitCode).toBe(0);
  });

  test("take input nobody reads without holding up anything else", async () => {
    const shim = await started(await spawn(sh("sleep 60", { supervision: { openStdin: true } })));
    const attachment = await shim.attach(0, { stdin: true });
    let done = false;
    const writing = attachment.write(new Uint8Array(8 << 20)).then(
      () => (done = true),
      () => {},
    );
    await Bun.sleep(100);
    expect(done).toBe(false);
    await shim.kill(0, 9);
    expect((await shim.main.exited).signal).toBe(9);
    await writing;
  });

  test("are drained for 200 ms when a child holds them, and no longer", async () => {
    const before = performance.now();
    const { stdout } = await run(sh("echo first; (sleep 30; echo late) & exit 0"));
    expect(stdout).toBe("first\n");
    expect(performance.now() - before).toBeGreaterThan(190);
    expect(performance.now() - before).toBeLessThan(3000);
  });

  test("lose nothing that was written before the exit", async () => {
    const { stdout } = await run(sh("head -c 250000 /dev/zero | tr '\\0' x"));
    expect(stdout.length).toBe(250_000);
  });
});

describe("a terminal", () => {
  test("has the size it is given, before it exists and while it lives", async () => {
    const shim = await spawn(
      sh("stty size; read x; stty size; tty >/dev/null && echo tty", { supervision: { tty: true, openStdin: true } }),
    );
    const heard = listener({ stdin: true });
    const attachment = await shim.attach(0, heard.options);
    shim.resize(0, 33, 101);
    shim.start();
    await until(() => heard.stdout.includes("33 101"));
    shim.resize(0, 44, 202);
    await shim.status();
    await attachment.write(text("\n"));
    await attachment.ended;
    expect(heard.stdout.replaceAll("\r", "")).toBe("33 101\n\n44 202\ntty\n");
    expect(heard.stderr).toBe("");
  });

  test("turns Ctrl-C into a signal", async () => {
    const shim = await spawn(planOf(["sleep", "60"], { supervision: { tty: true, openStdin: true } }));
    const attachment = await shim.attach(0, { stdin: true });
    await started(shim);
    await attachment.write(text("\x03"));
    expect((await shim.main.exited).signal).toBe(2);
  });

  test("that its last holder closes can be opened again", async () => {
    const script =
      "exec 3</proc/self/fd/0; p=$(tty); exec 0</dev/null 1>/dev/null 2>/dev/null 3<&-; sleep 0.3; echo back >$p; sleep 0.3";
    const { stdout } = await run(sh(script, { supervision: { tty: true } }));
    expect(stdout).toContain("back");
  });
});

/** Connects, attaches, and never reads. */
function stuck(dir: string, lossless: boolean): { fd: number; close: () => void } {
  const state = openDir(dir);
  const fd = unixConnect(state, "shim.sock");
  closeSync(state);
  write(fd, encodeFrame(request.attach, 0, words(6, lossless ? 1 : 0)));
  return { fd, close: () => closeSync(fd) };
}

describe("clients", () => {
  test("any number see the same", async () => {
    const shim = await spawn(sh("for i in $(seq 1000); do echo line $i; done"));
    const ears = Array.from({ length: 8 }, () => listener());
    const attachments = await Promise.all(ears.map((ear) => shim.attach(0, ear.options)));
    shim.start();
    await Promise.all(attachments.map((attachment) => attachment.ended));
    expect(ears[0]?.stdout.split("\n")).toHaveLength(1001);
    for (const ear of ears) expect(ear.stdout).toBe(ears[0]!.stdout);
  });

  test("that stand still lose output, are told how much, and hold up nobody", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("head -c 8000000 /dev/zero; echo done >&2; read x", { supervision: { openStdin: true } }), dir);
    const still = stuck(dir, false);
    const heard = listener({ stdin: true });
    const attachment = await shim.attach(0, heard.options);
    shim.start();
    await until(() => heard.stderr === "done\n" && heard.stdout.length === 8_000_000, 20_000);
    await attachment.write(text("\n"));
    await shim.main.exited;

    let dropped = 0;
    let received = 0;
    const decoder = new FrameDecoder();
    const piece = new Uint8Array(65536);
    for (let length = read(still.fd, piece); length > 0; length = read(still.fd, piece)) {
      decoder.push(piece.slice(0, length), ({ type, payload }) => {
        if (type === reply.stdout) received += payload.length;
        if (type === reply.dropped) dropped += Number(new DataView(payload.buffer, payload.byteOffset).getBigUint64(0, true));
      });
    }
    still.close();
    expect(dropped).toBeGreaterThan(0);
    expect(received + dropped).toBeGreaterThanOrEqual(8_000_000);
    expect(received).toBeLessThan(2 << 20);
  });

  test("that are lossless hold the process back instead, and lose nothing", async () => {
    const shim = await spawn(sh("head -c 8000000 /dev/zero; echo all written >&2"));
    let received = 0;
    let heard = "";
    let open: (() => void) | undefined;
    const attachment = await shim.attach(0, {
      stdout: true,
      lossless: true,
      onOutput: (_, data) => {
        received += data.length;
        if (received < 1_000_000 || open) return;
        return new Promise<void>((resolve) => {
          open = resolve;
        });
      },
    });
    const other = await shim.attach(0, {
      stderr: true,
      onOutput: (_, data) => {
        heard += Buffer.from(data);
      },
    });
    shim.start();
    await until(() => open !== undefined);
    await Bun.sleep(SANITIZED ? 500 : 1000);
    expect(heard).toBe("");
    expect(received).toBeLessThan(4_000_000);
    open?.();
    await attachment.ended;
    await other.ended;
    expect({ received, heard }).toEqual({ received: 8_000_000, heard: "all written\n" });
  });

  test.skipIf(!SANITIZED)("that are lossless lose too after standing still too long", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("head -c 8000000 /dev/zero; exit 3"), dir);
    const still = stuck(dir, true);
    const before = performance.now();
    shim.start();
    expect((await shim.main.exited).exitCode).toBe(3);
    expect(performance.now() - before).toBeGreaterThan(1900);
    still.close();
  });

  test("cost memory only while they have something to take", async () => {
    const dir = stateDir();
    const shim = await spawn(sh("head -c 4000000 /dev/zero; read x", { supervision: { openStdin: true } }), dir);
    const many = Array.from({ length: 8 }, () => stuck(dir, false));
    await started(shim);
    const anonymous = () => field(`/proc/${shim.pid}/smaps_rollup`, "Anonymous");
    await until(() => anonymous() > 4000, 10_000);
    await Bun.sleep(200);
    if (!SANITIZED) expect(anonymous()).toBeLessThan(10_000);
    const open = descriptors(shim.pid).length;
    for (const one of many) one.close();
    await until(() => descriptors(shim.pid).length === open - 8);
    if (!SANITIZED) await until(() => anonymous() < 700);
  });

  test("that ask for what a process no longer has are told its end", async () => {
    const shim = await started(await spawn(sh("exec >/dev/null 2>&1; sleep 60")));
    await Bun.sleep(100);
    await (await shim.attach(0, { stdout: true })).ended;
    expect(shim.main.hasExited).toBe(false);
  });
});
