import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { CAP, F, IN, O, POLL, PR, RLIMIT, SIG, SOCK } from "./constants.ts";
import { eventfd, inotify, inotifyAdd, inotifyRead, inotifyRemove, readEventfd, writeEventfd } from "./eventfd.ts";
import { close, fcntl, open, openDir, pipe2 } from "./file.ts";
import { poll, read, readAll, writeAll } from "./io.ts";
import { formatIdMap, pidfdOpen, pidfdSendSignal } from "./namespace.ts";
import * as proc from "./process.ts";
import { getWindowSize, isTerminal, makeRaw, openPty, setWindowSize, tcgetattr, tcsetattr } from "./pty.ts";
import { getrandom } from "./random.ts";
import * as socket from "./socket.ts";
import { fstat, statx } from "./stat.ts";

let path: string;
beforeAll(() => {
  path = mkdtempSync(join(tmpdir(), "onggi-process-"));
});
afterAll(() => rmSync(path, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
const code = (work: () => unknown): string => {
  try {
    work();
    return "";
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe("processes", () => {
  test("a pidfd ends a child, and then tells that it is gone", async () => {
    const child = Bun.spawn(["sleep", "60"]);
    const pidfd = pidfdOpen(child.pid);
    expect(poll(pidfd, POLL.POLLIN, 0)).toBe(0);
    pidfdSendSignal(pidfd, 0);
    pidfdSendSignal(pidfd, SIG.SIGTERM);
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
    expect(code(() => pidfdSendSignal(pidfd, SIG.SIGTERM))).toBe("ESRCH");
    expect(poll(pidfd, POLL.POLLIN, 0) & POLL.POLLIN).toBe(POLL.POLLIN);
    close(pidfd);
    expect(code(() => proc.kill(child.pid, 0))).toBe("ESRCH");
    expect(code(() => proc.waitpid(child.pid))).toBe("ECHILD");
  });

  test("ids are the process's own", () => {
    expect(proc.getpid()).toBe(process.pid);
    expect(proc.getppid()).toBe(process.ppid);
    expect([proc.getuid(), proc.geteuid(), proc.getgid(), proc.getegid()]).toEqual([
      process.getuid!(),
      process.geteuid!(),
      process.getgid!(),
      process.getegid!(),
    ]);
    expect(proc.getgroups()).toEqual(process.getgroups!());
    const former = proc.umask(0o77);
    expect(proc.umask(former)).toBe(0o77);
  });

  test("limits, privileges, options", () => {
    const files = proc.prlimit(0, RLIMIT.RLIMIT_NOFILE);
    expect(proc.prlimit(0, RLIMIT.RLIMIT_NOFILE, { ...files, soft: files.soft - 1n })).toEqual(files);
    expect(proc.prlimit(0, RLIMIT.RLIMIT_NOFILE, files).soft).toBe(files.soft - 1n);
    const { effective, permitted } = proc.capget();
    expect(effective & ~permitted).toBe(0n);
    expect(proc.capget(1).permitted).toBeGreaterThan(0n);
    expect(proc.capabilityList(0b101n)).toEqual(["CAP_CHOWN", "CAP_DAC_READ_SEARCH"]);
    expect(proc.hasCapability(1n << 40n, CAP.CAP_CHECKPOINT_RESTORE)).toBe(true);
    expect(proc.boundingSet()).toBeGreaterThan(0n);
    expect(proc.prctl(PR.PR_GET_NO_NEW_PRIVS)).toBe(0);
    proc.setChildSubreaper(false);
  });

  test("the machine", () => {
    const getconf = (name: string) => Number(Bun.spawnSync(["getconf", name]).stdout.toString());
    expect(proc.sysconf("CLK_TCK")).toBe(getconf("CLK_TCK"));
    expect(proc.sysconf("PAGESIZE")).toBe(getconf("PAGESIZE"));
    expect(proc.sysconf("NPROCESSORS")).toBeLessThanOrEqual(cpus().length);
    expect(proc.sysconf("NPROCESSORS")).toBeGreaterThan(0);
  });

  test("random bytes", () => {
    expect(getrandom(0).length).toBe(0);
    expect(getrandom(100_000).some((byte) => byte !== 0)).toBe(true);
    expect(getrandom(32)).not.toEqual(getrandom(32));
  });

  test("id maps", () => {
    const map = [
      { containerID: 0, hostID: 100000, size: 65536 },
      { containerID: 65536, hostID: 7, size: 1 },
    ];
    expect(formatIdMap(map)).toBe("0 100000 65536\n65536 7 1\n");
  });
});

describe("unix sockets", () => {
  test("a directory's path may be longer than an address", () => {
    const long = join(path, "d".repeat(100), "e".repeat(100));
    mkdirSync(long, { recursive: true });
    const dir = openDir(long);
    const server = socket.unixListen(dir, "socket", 5, { mode: 0o600 });
    expect(statx(dir, "socket").mode & 0o7777).toBe(0o600 & ~process.umask());
    const client = socket.unixConnect(dir, "socket");
    const connection = socket.accept(server);
    expect(socket.peerCredentials(connection)).toEqual({ pid: process.pid, uid: proc.geteuid(), gid: proc.getegid() });
    writeAll(client, "hello");
    expect(text(socket.recvFds(connection, 100).data)).toBe("hello");
    expect(socket.isHungUp(connection)).toBe(false);
    socket.shutdown(client, 1);
    expect(socket.isHungUp(connection)).toBe(true);
    expect(socket.recvFds(connection, 100)).toEqual({ data: new Uint8Array(), fds: [] });
    expect(code(() => socket.unixListen(dir, "socket"))).toBe("EADDRINUSE");
    for (const fd of [client, connection, server]) close(fd);
    expect(code(() => socket.unixConnect(dir, "socket"))).toBe("ECONNREFUSED");
    expect(code(() => socket.unixConnect(dir, "missing"))).toBe("ENOENT");
    expect(code(() => socket.unixConnect(dir, "n".repeat(108)))).toBe("ENAMETOOLONG");
    close(dir);
  });

  test("Bun serves and fetches through the short path", async () => {
    const dir = openDir(path);
    const server = Bun.serve({ unix: socket.unixConnectPath(dir, "http"), fetch: () => new Response("from there") });
    const response = await fetch("http://localhost/", { unix: socket.unixConnectPath(dir, "http") });
    expect(await response.text()).toBe("from there");
    await server.stop(true);
    close(dir);
  });

  test("descriptors travel", () => {
    const [left, right] = socket.socketpair(SOCK.SOCK_SEQPACKET);
    const [reader, writer] = pipe2();
    expect(socket.sendFds(left, bytes("two"), [writer, reader])).toBe(3);
    const { data, fds } = socket.recvFds(right, 16);
    expect(text(data)).toBe("two");
    expect(fds.length).toBe(2);
    expect(fstat(fds[0]!).ino).toBe(fstat(writer).ino);
    expect(fcntl(fds[0]!, F.F_GETFD)).toBe(F.FD_CLOEXEC);
    writeAll(fds[0]!, "through");
    const buffer = new Uint8Array(7);
    expect(text(buffer.subarray(0, read(reader, buffer)))).toBe("through");
    for (const fd of [...fds, reader, writer]) close(fd);
    for (let round = 0; round < 200; round++) {
      socket.sendFds(left, bytes(`round ${round}`), [left]);
      if (round % 50 === 0) Bun.gc(true);
      const received = socket.recvFds(right, 64);
      expect(text(received.data)).toBe(`round ${round}`);
      for (const fd of received.fds) close(fd);
    }
    close(left);
    close(right);
  });

  test("more descriptors than there is room for are an error, and none is left open", () => {
    const [left, right] = socket.socketpair();
    const before = fcntl(left, F.F_DUPFD_CLOEXEC, 0);
    close(before);
    socket.sendFds(left, bytes("x"), [left, left, left, left]);
    expect(code(() => socket.recvFds(right, 16, 1))).toBe("EMSGSIZE");
    const after = fcntl(left, F.F_DUPFD_CLOEXEC, 0);
    expect(after).toBe(before);
    for (const fd of [after, left, right]) close(fd);
  });

  test("a non-blocking socket says EAGAIN", () => {
    const [left, right] = socket.socketpair();
    socket.setNonblocking(left, true);
    expect(code(() => socket.recvFds(left, 1))).toBe("EAGAIN");
    socket.setNonblocking(left, false);
    expect(fcntl(left, F.F_GETFL) & O.O_NONBLOCK).toBe(0);
    close(left);
    close(right);
  });
});

describe("terminals", () => {
  test("size and raw mode", () => {
    const { master, slave } = openPty();
    setWindowSize(master, { rows: 40, columns: 120 });
    expect(getWindowSize(slave)).toEqual({ rows: 40, columns: 120 });
    const [reader, writer] = pipe2();
    expect([isTerminal(slave), isTerminal(reader)]).toEqual([true, false]);
    close(reader);
    close(writer);
    const buffer = new Uint8Array(100);
    writeAll(slave, "a\n");
    expect(text(buffer.subarray(0, read(master, buffer)))).toBe("a\r\n");
    const former = makeRaw(slave);
    writeAll(slave, "b\n");
    expect(text(buffer.subarray(0, read(master, buffer)))).toBe("b\n");
    writeAll(master, "\x03\r");
    expect(text(buffer.subarray(0, read(slave, buffer)))).toBe("\x03\r");
    tcsetattr(slave, former, "flush");
    expect(tcgetattr(slave)).toEqual(former);
    close(master);
    close(slave);
    expect(code(() => getWindowSize(master))).not.toBe("");
  });
});

describe("events", () => {
  test("a counter", () => {
    const fd = eventfd();
    expect(readEventfd(fd)).toBe(0n);
    writeEventfd(fd, 3n);
    writeEventfd(fd, 4n);
    expect([readEventfd(fd), readEventfd(fd)]).toEqual([7n, 0n]);
    close(fd);
  });

  test("what happens in a directory", () => {
    const fd = inotify();
    const watch = inotifyAdd(fd, path, IN.IN_CREATE | IN.IN_CLOSE_WRITE);
    expect(inotifyRead(fd)).toEqual([]);
    close(open(join(path, "새 파일"), O.O_CREAT | O.O_WRONLY, 0o600));
    expect(inotifyRead(fd)).toEqual([
      { watch, mask: IN.IN_CREATE, cookie: 0, name: "새 파일" },
      { watch, mask: IN.IN_CLOSE_WRITE, cookie: 0, name: "새 파일" },
    ]);
    inotifyRemove(fd, watch);
    expect(inotifyRead(fd)).toEqual([{ watch, mask: IN.IN_IGNORED, cookie: 0, name: "" }]);
    expect(code(() => inotifyAdd(fd, join(path, "missing"), IN.IN_MODIFY))).toBe("ENOENT");
    close(fd);
  });

  test("a file of /proc is read to its end", () => {
    const fd = open("/proc/self/status", O.O_RDONLY);
    expect(text(readAll(fd))).toContain(`Pid:\t${process.pid}\n`);
    close(fd);
  });
});
