/** File systems of a container against the kernel, and images that try to get out of theirs. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chownSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busybox, cleanUp, directory, facts, ID_MAP, type Options, sh } from "./runtime/kit.ts";

let image: string;
beforeAll(() => {
  image = busybox();
});
afterAll(cleanUp);

describe("the root", () => {
  test("is a directory as it is", async () => {
    const root = busybox();
    for (const name of ["proc", "sys", "dev"]) mkdirSync(join(root, name));
    const { output, failure } = await sh(root, "touch /made; ls /; echo gone > /dev/null", {
      userns: false,
      input: { root: { kind: "directory", path: root } },
    });
    expect(failure).toBeNull();
    expect(output).toBe("bin\ndev\netc\nhome\nmade\nproc\nroot\nsys\ntmp\n");
    expect(statSync(join(root, "made")).isFile()).toBeTrue();
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(root);
  });

  test("is an overlay of directories by mount(2), where overlayfs takes no descriptors", async () => {
    const base = directory();
    const paths = ["lower:a,b", "lower2", "upper,x", "work", "mountpoint"].map((name) => join(base, name));
    for (const path of paths) mkdirSync(path);
    writeFileSync(join(paths[0] as string, "top"), "");
    writeFileSync(join(paths[1] as string, "middle"), "");
    const [first, second, upper, work, mountpoint] = paths as [string, string, string, string, string];
    for (const noPivot of [false, true]) {
      const { output, failure } = await sh(
        image,
        "ls /; echo 1 > /proc/sys/kernel/panic; stat -c %t:%T /opt/null; ls /sys/firmware /tmp",
        {
          userns: false,
          devices: [{ type: "c", path: "/opt/null", major: 1, minor: 3, access: "rwm" }],
          input: {
            noPivot,
            facts: { ...facts, overlayFds: false, cloneDetached: false },
            root: { kind: "overlay", lower: { paths: [first, second, image] }, upper, work, mountpoint },
          },
        },
      );
      expect(failure).toBeNull();
      expect(output).toStartWith("bin\ndev\netc\nhome\nmiddle\nopt\nproc\nroot\nsys\ntmp\ntop\n");
      expect(output).toContain("Read-only file system");
      expect(output).toContain("1:3\n");
    }
  });
});

test("a root of 120 layers, with the container's ids or the host's; too many for mount(2) where overlayfs takes no descriptors", async () => {
  const base = directory();
  const layers = Array.from({ length: 120 }, (_, i) => join(base, `a-layer-with-a-long-name-${i}`));
  for (const [i, path] of layers.entries()) {
    mkdirSync(join(path, "data"), { recursive: true });
    writeFileSync(join(path, `data/${i}`), "");
    writeFileSync(join(path, "data/first"), `${i}`);
    chownSync(join(path, `data/${i}`), i, 40_000 + i);
  }
  for (const userns of [true, false]) {
    const [upper, work, mountpoint] = ["upper", "work", "mountpoint"].map((name) => join(base, `${name}-${userns}`)) as [
      string,
      string,
      string,
    ];
    for (const path of [upper, work, mountpoint]) mkdirSync(path);
    if (userns) chownSync(upper, ID_MAP.hostId, ID_MAP.hostId);
    const root = { kind: "overlay", lower: { paths: [...layers, image] }, upper, work, mountpoint } as const;
    const script =
      "ls /data | wc -l; cat /data/first; echo; stat -c %u:%g /data/119; echo new > /data/5 && stat -c %u:%g /data/5";
    const { output, failure } = await sh(image, script, { userns, input: { root } });
    expect(failure).toBeNull();
    expect(output).toBe("121\n0\n119:40119\n5:40005\n");
    const old = { root, facts: { ...facts, overlayFds: false, cloneDetached: false } };
    if (!userns) await expect(sh(image, "true", { userns, input: old })).rejects.toMatchObject({ code: "too_many_layers" });
  }
});

describe("mounts", () => {
  test("bind sources of every kind, with their attributes and ids", async () => {
    const host = directory();
    mkdirSync(join(host, "dir"));
    writeFileSync(join(host, "dir/file"), "content\n");
    writeFileSync(join(host, "single"), "one\n");
    const script = `cat /data/file /etc/single; echo w > /data/file; echo own > /rw/new; stat -c %u /rw/new /data/file
      grep -E ' (/data|/rw|/etc/single) ' /proc/mounts | cut -d' ' -f2,4 | sort`;
    for (const userns of [true, false]) {
      const { output, failure } = await sh(image, script, {
        userns,
        request: {
          mounts: [
            { type: "bind", source: join(host, "dir"), target: "/data", readonly: true, options: ["nosuid", "rnoexec"] },
            { type: "bind", source: join(host, "dir"), target: "/rw" },
            { type: "bind", source: join(host, "single"), target: "/etc/single" },
          ],
        },
      });
      expect(failure).toBeNull();
      expect(output).toContain("content\none\n");
      expect(output).toContain("Read-only file system");
      expect(output).toContain("\n0\n0\n");
      expect(output).toMatch(/\/data ro,nosuid,noexec,/);
      expect(statSync(join(host, "dir/new")).uid).toBe(0);
    }
  });

  test("tmpfs with options, read-only only once what is below it is mounted, and filled from the image", async () => {
    const request: Options["request"] = { tmpfs: { "/run": "size=1m,mode=700", "/etc": "ro,tmpcopyup" }, shmSize: 4096 * 16 };
    const { output, failure } = await sh(
      image,
      "df /run | tail -1; stat -c %a /run; df /dev/shm | tail -1; head -1 /etc/passwd; touch /etc/x; ls /etc",
      { request },
    );
    expect(failure).toBeNull();
    expect(output).toMatch(/1024 +0 +1024/);
    expect(output).toMatch(/\n700\n/);
    expect(output).toMatch(/\n *shm +64 /);
    expect(output).toContain("root:x:0:0::/root:/bin/sh\n");
    expect(output).toContain("Read-only file system");
    expect(readFileSync(join(image, "etc/passwd"), "utf8")).toContain("user:");
  });

  test("a read-only root, with places for mounts made before", async () => {
    const { output, failure } = await sh(image, "touch /x; touch /run/x && echo ok", {
      request: { readonlyRootfs: true, tmpfs: { "/run": "" } },
    });
    expect(failure).toBeNull();
    expect(output).toBe("touch: /x: Read-only file system\nok\n");
  });

  test("propagation: host mounts arrive in a slave, never the other way round", async () => {
    const host = directory();
    mkdirSync(join(host, "inner"));
    const mount = (...args: string[]) => Bun.spawnSync(["mount", ...args]).exitCode;
    mount("-t", "tmpfs", "tmpfs", host);
    mount("--make-shared", host);
    try {
      for (const [propagation, seen] of [
        ["rslave", "1"],
        ["rprivate", "0"],
      ] as const) {
        await sh(image, "sleep 100", {
          userns: false,
          request: { privileged: true, mounts: [{ type: "bind", source: host, target: "/data", options: [propagation] }] },
          during: async (container) => {
            mkdirSync(join(host, propagation));
            mount("-t", "tmpfs", "tmpfs", join(host, propagation));
            const { output } = await container.exec(
              [
                "sh",
                "-c",
                `grep -c /data/${propagation} /proc/mounts; mkdir -p /data/up; mount -t tmpfs up /data/up && echo mounted`,
              ],
              { privileged: true },
            );
            expect(output).toBe(`${seen}\nmounted\n`);
            expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(join(host, "up"));
            Bun.spawnSync(["umount", join(host, propagation)]);
          },
        });
      }
    } finally {
      Bun.spawnSync(["umount", "-R", host]);
    }
  });

  test("the host's network brings the host's /sys, read-only, in a user namespace too", async () => {
    const { output, failure } = await sh(image, "ls /sys/class/net; mkdir /sys/x", { request: { network: "host" } });
    expect(failure).toBeNull();
    const names = Bun.spawnSync(["ls", "/sys/class/net"]).stdout.toString();
    expect(output).toStartWith(names);
    expect(output).toContain("Read-only file system");
  });

  test("devices that were asked for, below /dev and elsewhere", async () => {
    const device = { type: "c", major: 1, minor: 5, access: "rwm", fileMode: 0o600, uid: 3, gid: 4 } as const;
    for (const userns of [true, false]) {
      const { output, failure } = await sh(
        image,
        "stat -c '%n %u %g %a %t:%T' /dev/net/mine /opt/other; head -c 2 /dev/net/mine | wc -c",
        {
          userns,
          devices: [
            { ...device, path: "/dev/net/mine" },
            { ...device, path: "/opt/other" },
          ],
        },
      );
      expect(failure).toBeNull();
      expect(output).toBe("/dev/net/mine 3 4 600 1:5\n/opt/other 3 4 600 1:5\n2\n");
    }
  });
});

describe("an image that wants out", () => {
  test("a link in the way of a mount stays in the root", async () => {
    const trap = busybox();
    const outside = directory();
    symlinkSync(outside, join(trap, "out"));
    symlinkSync("../../../../../../..", join(trap, "up"));
    symlinkSync("/nowhere/at/all", join(trap, "etc/resolv.conf"));
    mkdirSync(join(trap, "real"));
    symlinkSync("/real", join(trap, "in"));
    const host = directory();
    writeFileSync(join(host, "f"), "from the host\n");
    const bind = (target: string, file = false) => ({ type: "bind" as const, source: file ? join(host, "f") : host, target });
    const inside = await sh(trap, "cat /real/x/f /etc/resolv.conf; ls /", {
      request: { mounts: [bind("/in/x"), bind("/etc/resolv.conf", true), bind("/up/above")] },
    });
    expect(inside.failure).toBeNull();
    expect(inside.output).toStartWith("from the host\nfrom the host\nabove\n");
    const dangling = await sh(trap, "true", { request: { mounts: [bind("/out/x")] } });
    // where the link leads does not exist inside the root
    expect(dangling.failure).toBe("child open ENOENT: mount /out/x");
    expect(Bun.spawnSync(["ls", "-A", outside]).stdout.toString()).toBe("");
  });

  test("/proc or /sys as a link is refused", async () => {
    for (const name of ["proc", "sys"]) {
      const trap = busybox();
      symlinkSync("/tmp", join(trap, name));
      expect((await sh(trap, "true")).failure).toBe(`child open ELOOP: mount /${name}`);
    }
  });

  test("/dev as a link stays in the root", async () => {
    const trap = busybox();
    symlinkSync("/../../../../tmp", join(trap, "dev"));
    const { output, failure } = await sh(trap, "ls /tmp | head -2", { request: { tty: true } });
    expect(failure).toBeNull();
    expect(output).toBe("console\ncore\n");
  });

  test("a magic link as a mount's destination is refused", async () => {
    const trap = busybox();
    symlinkSync("/proc/self/fd/5", join(trap, "data"));
    const host = directory();
    const { failure } = await sh(trap, "true", { request: { mounts: [{ type: "bind", source: host, target: "/data/x" }] } });
    expect(failure).toMatch(/^child open (ELOOP|ENOENT): mount \/data\/x$/);
  });

  test("a masked path that is a link is masked where it leads, inside the root", async () => {
    const trap = busybox();
    writeFileSync(join(trap, "etc/secret"), "secret\n");
    mkdirSync(join(trap, "etc/secrets"));
    writeFileSync(join(trap, "etc/secrets/one"), "secret\n");
    symlinkSync("/etc/secret", join(trap, "link"));
    symlinkSync("/nowhere", join(trap, "dangling"));
    const change: Options["change"] = (spec) => {
      spec.linux!.maskedPaths = ["/link", "/etc/secrets", "/dangling", "/missing/x", "/etc/passwd/x"];
      spec.linux!.readonlyPaths = ["/tmp", "/dangling", "/missing"];
    };
    const { output, failure } = await sh(trap, "cat /etc/secret; ls /etc/secrets; touch /tmp/x", { change });
    expect(failure).toBeNull();
    expect(output).toBe("touch: /tmp/x: Read-only file system\n");
  });

  test("cannot leave by chroot, nor reach its supervisor", async () => {
    const script =
      "mkdir /a; chroot /a /bin/sh; cd /..; pwd; ls -d /../bin; ls -l /proc/1/exe | grep -c onggi; grep -c . /proc/mounts > /dev/null; ls /proc | grep -c '^[0-9]'";
    const { output } = await sh(image, script);
    expect(output).toContain("/\n/../bin\n0\n");
  });

  test("has no file of the host's in its mount table", async () => {
    const { output } = await sh(image, "cut -d' ' -f5 /proc/self/mountinfo");
    expect(output.split("\n").filter((path) => path !== "" && !/^\/($|proc|sys|dev)/.test(path))).toEqual([]);
  });
});

test("ids of a user namespace are the mapped ones outside", async () => {
  await sh(image, "touch /made; sleep 100", {
    user: { uid: 0, gid: 0 },
    during: async ({ pid, upper }) => {
      expect(statSync(`/proc/${pid}`).uid).toBe(ID_MAP.hostId);
      while (!(await Bun.file(join(upper, "made")).exists())) await Bun.sleep(2);
      expect(statSync(join(upper, "made")).uid).toBe(ID_MAP.hostId);
    },
  });
});
