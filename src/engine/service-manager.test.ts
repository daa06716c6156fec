import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AF, close, openDir, recvFds, SOCK, sys, unixListen } from "../sys/index.ts";
import { ServiceManager } from "./service-manager.ts";

const base = mkdtempSync(join(tmpdir(), "onggi-notify-"));
afterAll(() => rmSync(base, { recursive: true }));

const log: string[] = [];
const managerOf = (env: Record<string, string | undefined>): ServiceManager =>
  new ServiceManager(env, 42, (message) => log.push(message));
const heard = (fd: number): string => Buffer.from(recvFds(fd, 4096).data).toString();

/** A datagram socket with a name that has no path. */
function abstractSocket(name: string): number {
  const fd = sys("socket", undefined, AF.AF_UNIX, SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC, 0);
  const address = Buffer.from(`\u0001\u0000\u0000${name}`, "latin1");
  sys("bind", name, fd, address, address.length);
  return fd;
}

test("what it is told, at a path and at a name without one", () => {
  const directory = openDir(base);
  const name = `onggi-test-${process.pid}`;
  for (const [fd, address] of [
    [unixListen(directory, "notify", 0, { type: SOCK.SOCK_DGRAM }), join(base, "notify")],
    [abstractSocket(name), `@${name}`],
  ] as const) {
    const manager = managerOf({ NOTIFY_SOCKET: address });
    manager.ready("serves\nall");
    expect(heard(fd)).toBe("READY=1\nSTATUS=serves all");
    manager.reloading();
    expect(heard(fd)).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    manager.stopping();
    expect(heard(fd)).toBe("STOPPING=1");
    close(fd);
  }
  close(directory);
  expect(log).toEqual([]);
});

test("one that is not there is said, and no reason to fail", () => {
  managerOf({ NOTIFY_SOCKET: join(base, "nobody") }).ready("");
  expect(log.pop()).toContain("nobody hears nothing");
  managerOf({}).ready("");
  expect(log).toEqual([]);
});

test("a watchdog hears of it", async () => {
  const directory = openDir(base);
  const fd = unixListen(directory, "watched", 0, { type: SOCK.SOCK_DGRAM });
  const manager = managerOf({ NOTIFY_SOCKET: join(base, "watched"), WATCHDOG_USEC: "20000", WATCHDOG_PID: "42" });
  manager.ready("");
  await Bun.sleep(100);
  manager.stopping();
  expect([heard(fd), heard(fd), heard(fd)]).toEqual(["READY=1\nSTATUS=", "WATCHDOG=1", "WATCHDOG=1"]);
  close(fd);
  close(directory);
});

test("sockets by name, for this process alone; nothing of it is left to others", () => {
  const env = { LISTEN_PID: "42", LISTEN_FDS: "4", LISTEN_FDNAMES: "onggi:docker:docker", PATH: "/bin" };
  expect([...managerOf(env).sockets]).toEqual([
    ["onggi", 3],
    ["docker", 4],
    ["docker.5", 5],
    ["unknown", 6],
  ]);
  expect(Object.keys(env)).toEqual(["PATH"]);
  for (const other of [{ LISTEN_PID: "43", LISTEN_FDS: "1" }, { LISTEN_PID: "42", LISTEN_FDS: "x" }, { LISTEN_FDS: "1" }])
    expect(managerOf(other).sockets.size).toBe(0);
});
