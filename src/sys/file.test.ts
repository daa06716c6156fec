import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { AT, DT, F_SEAL, FALLOC, LOCK, MAGIC, O, RENAME, RESOLVE, S, XATTR } from "./constants.ts";
import { errno, SysError } from "./errno.ts";
import { cstring, sysRaw } from "./ffi.ts";
import * as file from "./file.ts";
import * as io from "./io.ts";
import { fstat, major, makedev, minor, statfs, statx } from "./stat.ts";
import * as xattr from "./xattr.ts";

let path: string;
let dir: number;
beforeAll(() => {
  path = mkdtempSync(join(tmpdir(), "onggi-file-"));
  dir = file.openDir(path);
});
afterAll(() => {
  file.close(dir);
  rmSync(path, { recursive: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

function failure(work: () => unknown): SysError {
  try {
    work();
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
  throw new Error("did not throw");
}

/** Runs `work` with a new empty file in the directory. */
function withFile<T>(name: string, work: (fd: number) => T): T {
  const fd = file.openat(dir, name, O.O_RDWR | O.O_CREAT | O.O_EXCL, 0o600);
  try {
    return work(fd);
  } finally {
    file.close(fd);
    file.unlinkat(dir, name);
  }
}

describe("arguments", () => {
  test("a call is told by name and path", () => {
    expect(failure(() => file.open(join(path, "missing"), O.O_RDONLY)).message).toBe(
      `openat ${join(path, "missing")}: ENOENT (no such file or directory)`,
    );
    expect(failure(() => io.read(12345, new Uint8Array(1))).message).toBe("read fd 12345: EBADF (bad file descriptor)");
    expect(sysRaw("close", -1)).toBe(-errno.EBADF);
  });

  test("a NUL in a path is refused, not cut off", () => {
    expect(failure(() => file.mkdirat(dir, "a\0b", 0o755))).toMatchObject({ code: "EINVAL", path: "a\\0b" });
    expect(failure(() => file.mkdirat(dir, Uint8Array.of(97, 0), 0o755)).code).toBe("EINVAL");
  });

  test("a path of any length reaches the kernel whole", () => {
    expect(failure(() => file.mkdirat(dir, "x".repeat(256), 0o755)).code).toBe("ENAMETOOLONG");
    expect(failure(() => file.mkdirat(dir, `y/${"한".repeat(5000)}`, 0o755)).code).toBe("ENAMETOOLONG");
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 3000 }), (name) => {
        fc.pre(!name.includes("\0"));
        const encoded = cstring(name);
        expect(text(encoded.subarray(0, encoded.indexOf(0)))).toBe(name);
      }),
    );
  });

  test("names need not be UTF-8", () => {
    const name = Uint8Array.of(0xff, 0xfe, 0x41);
    file.mkdirat(dir, name, 0o755);
    const fd = file.openat(dir, ".", O.O_RDONLY | O.O_DIRECTORY);
    expect(file.getdents(fd).find((entry) => entry.type === DT.DT_DIR)?.name).toEqual(name);
    file.close(fd);
    file.unlinkat(dir, name, AT.AT_REMOVEDIR);
  });

  test("buffers are where the kernel writes, however often memory is collected", () => {
    const fd = file.memfd("collect", 0);
    for (let round = 0; round < 2000; round++) {
      io.write(fd, Uint8Array.of(round, round >> 8, 7, 8), round * 4);
      if (round % 400 === 0) Bun.gc(true);
    }
    for (let round = 0; round < 2000; round++) {
      const back = new Uint8Array(4);
      if (round % 400 === 0) Bun.gc(true);
      expect(io.read(fd, back, round * 4)).toBe(4);
      expect([...back]).toEqual([round & 255, round >> 8, 7, 8]);
    }
    file.close(fd);
  });
});

describe("names", () => {
  test("openat2 does not leave the root it is given", () => {
    file.mkdirat(dir, "root", 0o755);
    file.symlinkat("/../../etc/passwd", dir, "root/escape");
    const root = file.openDir("root", dir);
    const how = { flags: O.O_RDONLY, resolve: RESOLVE.RESOLVE_IN_ROOT };
    expect(failure(() => file.openat2(root, "escape", how)).code).toBe("ENOENT");
    expect(failure(() => file.openat2(root, "escape", { ...how, resolve: RESOLVE.RESOLVE_BENEATH })).code).toBe("EXDEV");
    expect(failure(() => file.openat2(root, "escape", { ...how, resolve: RESOLVE.RESOLVE_NO_SYMLINKS })).code).toBe("ELOOP");
    file.mkdirat(root, "etc", 0o755);
    const made = file.openat2(root, "/etc/passwd", {
      flags: O.O_CREAT | O.O_WRONLY,
      mode: 0o640,
      resolve: RESOLVE.RESOLVE_IN_ROOT,
    });
    expect(fstat(made).mode & 0o777).toBe(0o640);
    const followed = file.openat2(root, "escape", how);
    expect(fstat(followed).ino).toBe(fstat(made).ino);
    for (const fd of [made, followed, root]) file.close(fd);
    rmSync(join(path, "root"), { recursive: true });
  });

  test("descriptors are close-on-exec until told otherwise", () => {
    const fd = file.open("/dev/null", O.O_RDONLY);
    const copy = file.dup(fd, 100);
    expect(copy).toBeGreaterThanOrEqual(100);
    expect([fd, copy, ...file.pipe2()].map((one) => [file.fcntl(one, 1), one >= 0 && file.close(one)][0])).toEqual([1, 1, 1, 1]);
    const kept = file.open("/dev/null", O.O_RDONLY);
    file.setCloexec(kept, false);
    expect(file.fcntl(kept, 1)).toBe(0);
    file.close(kept);
    expect(failure(() => file.close(kept)).code).toBe("EBADF");
  });

  test("links, renames, directories", () => {
    withFile("one", (fd) => {
      file.linkat(dir, "one", dir, "two");
      expect(fstat(fd).nlink).toBe(2);
      expect(failure(() => file.renameat2(dir, "one", dir, "two", RENAME.RENAME_NOREPLACE)).code).toBe("EEXIST");
      file.renameat2(dir, "two", dir, "three");
      file.symlinkat("x".repeat(1000), dir, "link");
      expect(file.readlinkat(dir, "link")).toBe("x".repeat(1000));
      const listing = file.openat(dir, ".", O.O_RDONLY);
      const entries = file.getdents(listing).map(({ name, type, ino }) => [text(name), type, ino === fstat(fd).ino] as const);
      expect(entries.sort((a, b) => a[0].localeCompare(b[0]))).toEqual([
        ["link", DT.DT_LNK, false],
        ["one", DT.DT_REG, true],
        ["three", DT.DT_REG, true],
      ]);
      expect(file.getdents(listing)).toEqual([]);
      file.close(listing);
      for (const name of ["three", "link"]) file.unlinkat(dir, name);
    });
  });

  test("a directory of many entries is listed whole", () => {
    file.mkdirat(dir, "many", 0o755);
    const many = file.openat(dir, "many", O.O_RDONLY | O.O_DIRECTORY);
    const names = Array.from({ length: 400 }, (_, index) => `${"long".repeat(50)}${index}`);
    for (const name of names) file.mknodat(many, name, S.S_IFIFO | 0o600);
    expect(new Set(file.getdents(many).map(({ name }) => text(name)))).toEqual(new Set(names));
    file.close(many);
    rmSync(join(path, "many"), { recursive: true });
  });

  test("access answers what may be done", () => {
    expect(file.access(dir, ".")).toBe(true);
    expect(file.access(dir, "missing")).toBe(false);
    expect(file.access(AT.AT_FDCWD, "/proc/self/status/x")).toBe(false);
    expect(failure(() => file.access(dir, "x".repeat(300))).code).toBe("ENAMETOOLONG");
  });
});

describe("data", () => {
  test("positions, sizes, holes, copies", () => {
    withFile("data", (fd) => {
      io.writeAll(fd, "hello ");
      io.writeAll(fd, bytes("world"));
      expect(io.lseek(fd, 0, 0)).toBe(0);
      expect(text(io.readAll(fd))).toBe("hello world");
      const part = new Uint8Array(5);
      expect(io.read(fd, part, 6)).toBe(5);
      expect(text(part)).toBe("world");
      withFile("copy", (copy) => {
        expect(io.copyFileRange(fd, copy, 100, 6)).toBe(5);
        expect(io.sendfile(copy, fd, 5, 0)).toBe(5);
        expect(readFileSync(join(path, "copy"), "utf8")).toBe("worldhello");
        expect(io.copyFileRange(fd, copy, 2, 0, 1)).toBe(2);
        expect(readFileSync(join(path, "copy"), "utf8")).toBe("wheldhello");
      });
      io.ftruncate(fd, 2 ** 33);
      expect(fstat(fd).size).toBe(2 ** 33);
      expect(io.lseek(fd, 2 ** 32, 4)).toBe(2 ** 32);
      io.fallocate(fd, FALLOC.FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
      expect(fstat(fd).blocks).toBeGreaterThanOrEqual(2048);
      io.fadvise(fd, 0, 0, 4);
      io.fsync(fd);
      io.fdatasync(fd);
    });
  });

  test("readAll takes what grows past its first buffer", () => {
    writeFileSync(join(path, "large"), Buffer.alloc(100_000, "onggi"));
    const fd = file.openat(dir, "large", O.O_RDONLY);
    expect(Buffer.from(io.readAll(fd)).equals(Buffer.alloc(100_000, "onggi"))).toBe(true);
    file.close(fd);
    file.unlinkat(dir, "large");
  });

  test("a sealed memfd cannot be changed", () => {
    const fd = file.memfd("sealed");
    io.writeAll(fd, "for good");
    const { F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL } = F_SEAL;
    file.seal(fd, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    expect(file.seals(fd)).toBe(15);
    expect(failure(() => io.write(fd, bytes("x"), 0)).code).toBe("EPERM");
    expect(failure(() => io.ftruncate(fd, 0)).code).toBe("EPERM");
    expect(failure(() => file.seal(fd, F_SEAL_WRITE)).code).toBe("EPERM");
    file.close(fd);
    const plain = file.memfd("plain", 0);
    expect(failure(() => file.seal(plain, F_SEAL_WRITE)).code).toBe("EPERM");
    file.close(plain);
  });

  test("one of two open files holds a lock", () => {
    withFile("lock", (first) => {
      const second = file.openat(dir, "lock", O.O_RDONLY);
      expect(file.flock(first, LOCK.LOCK_EX | LOCK.LOCK_NB)).toBe(true);
      expect(file.flock(second, LOCK.LOCK_SH | LOCK.LOCK_NB)).toBe(false);
      expect(file.flock(first, LOCK.LOCK_SH)).toBe(true);
      expect(file.flock(second, LOCK.LOCK_SH | LOCK.LOCK_NB)).toBe(true);
      file.close(second);
      expect(failure(() => file.flock(second, LOCK.LOCK_UN)).code).toBe("EBADF");
    });
  });

  test("poll tells when there is something to read", () => {
    const [reader, writer] = file.pipe2(O.O_NONBLOCK);
    expect(io.poll(reader, 1, 5)).toBe(0);
    expect(failure(() => io.read(reader, new Uint8Array(1))).code).toBe("EAGAIN");
    io.writeAll(writer, "x");
    expect(io.poll(reader, 1)).toBe(1);
    file.close(writer);
    expect(io.poll(reader, 1, 0) & 0x10).toBe(0x10);
    file.close(reader);
  });
});

describe("attributes", () => {
  test("statx tells what node:fs tells, in nanoseconds", () => {
    withFile("stat", (fd) => {
      file.utimensat(dir, "stat", 1_234_567_890_123_456_789n, -1n);
      file.fchmodat(dir, "stat", 0o4751);
      const { ino, nlink, uid, gid, ctimeNs, dev } = statSync(join(path, "stat"), { bigint: true });
      expect(statx(dir, "stat")).toMatchObject({
        mode: S.S_IFREG | 0o4751,
        size: 0,
        ino,
        ctimeNs,
        nlink: Number(nlink),
        uid: Number(uid),
        gid: Number(gid),
        dev: Number(dev),
        atimeNs: 1_234_567_890_123_456_789n,
        mtimeNs: -1n,
      });
      file.utimensat(dir, "stat", "omit", "now");
      expect(fstat(fd).atimeNs).toBe(1_234_567_890_123_456_789n);
      expect(Math.abs(Number(fstat(fd).mtimeNs / 1_000_000n) - Date.now())).toBeLessThan(10_000);
      file.utimensat(fd, "", 5n, 6n, AT.AT_EMPTY_PATH);
      expect(fstat(fd)).toMatchObject({ atimeNs: 5n, mtimeNs: 6n });
    });
    expect(fstat(dir).mountId).toBeGreaterThan(0);
    expect(statx(AT.AT_FDCWD, "/dev/null")).toMatchObject({ rdev: makedev(1, 3) });
  });

  test("a mode is set on a link's target, or refused on the link", () => {
    withFile("target", (fd) => {
      file.symlinkat("target", dir, "alias");
      file.fchmodat(dir, "alias", 0o640);
      expect(fstat(fd).mode & 0o777).toBe(0o640);
      expect(["EOPNOTSUPP", "ENOSYS"]).toContain(failure(() => file.fchmodat(dir, "alias", 0o600, AT.AT_SYMLINK_NOFOLLOW)).code);
      file.fchmod(fd, 0o400);
      expect(fstat(fd).mode & 0o777).toBe(0o400);
      file.unlinkat(dir, "alias");
    });
  });

  test("device numbers, however large", () => {
    fc.assert(
      fc.property(fc.nat({ max: 0xffffffff }), fc.nat({ max: 0xfffff }), (maj, min) => {
        const dev = makedev(maj & 0xfffff, min);
        expect([major(dev), minor(dev)]).toEqual([maj & 0xfffff, min]);
      }),
    );
    expect(makedev(8, 1)).toBe(0x801);
    expect(makedev(259, 70000)).toBe(Number(((70000n >> 8n) << 20n) | (259n << 8n) | (70000n & 255n)));
  });

  test("the file system of /proc", () => {
    expect(statfs("/proc").type).toBe(MAGIC.PROC_SUPER_MAGIC);
    expect(statfs(dir)).toEqual({
      ...statfs(path),
      free: expect.any(Number),
      available: expect.any(Number),
      filesFree: expect.any(Number),
    });
  });

  test("extended attributes, by path, link and descriptor", () => {
    withFile("attributes", (fd) => {
      const whole = join(path, "attributes");
      xattr.setxattr(whole, "user.a", "value");
      xattr.fsetxattr(fd, "user.b", new Uint8Array(2000).fill(9));
      expect(text(xattr.getxattr(fd, "user.a")!)).toBe("value");
      expect(xattr.lgetxattr(whole, "user.b")).toEqual(new Uint8Array(2000).fill(9));
      expect(xattr.fgetxattr(fd, "user.none")).toBeNull();
      for (const names of [xattr.listxattr(whole), xattr.llistxattr(whole), xattr.flistxattr(fd)]) {
        expect(names.filter((name) => name.startsWith("user.")).sort()).toEqual(["user.a", "user.b"]);
      }
      expect(failure(() => xattr.setxattr(whole, "user.a", "", XATTR.XATTR_CREATE)).code).toBe("EEXIST");
      xattr.lsetxattr(whole, "user.a", "", XATTR.XATTR_REPLACE);
      expect(xattr.getxattr(whole, "user.a")).toEqual(new Uint8Array());
      xattr.removexattr(fd, "user.a");
      xattr.lremovexattr(whole, "user.b");
      expect(failure(() => xattr.fremovexattr(fd, "user.b")).code).toBe("ENODATA");
      expect(failure(() => xattr.getxattr(join(path, "nothing"), "user.a")).code).toBe("ENOENT");
    });
  });
});
