/** Plans against the kernel: every variant, and the escapes that a plan has to withstand. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { busybox, cleanUp, facts, type Options, run, sh } from "./runtime/kit.ts";

let image: string;
beforeAll(() => {
  image = busybox();
});
afterAll(cleanUp);

/** Variants every container must come out right in. */
const variants: readonly [name: string, options: Partial<Options>][] = [
  ["with a user namespace", { userns: true }],
  ["without a user namespace", { userns: false }],
  ["without pivot_root", { userns: false, input: { noPivot: true } }],
  ["with a host cgroup namespace", { userns: false, request: { cgroupns: "host" } }],
];

describe.each(variants)("a container %s", (_, options) => {
  test("has its own root, names, processes and network", async () => {
    const script =
      "hostname; echo $$; id -u; ls -d /*; ls /sys/class/net; cat /proc/net/dev | grep -c lo:; ip link show lo | grep -c LOWER_UP";
    const { output, exitCode, failure } = await sh(image, script, options);
    expect(failure).toBeNull();
    expect(output).toBe("jar\n1\n0\n/bin\n/dev\n/etc\n/home\n/proc\n/root\n/sys\n/tmp\nlo\n1\n1\n");
    expect(exitCode).toBe(0);
  });

  test("has the devices and links of the specification, and they work", async () => {
    const script = `cd /dev; echo *; for link in core fd ptmx stderr stdin stdout; do readlink $link; done
      echo gone > null; head -c 4 zero | od -An -tx1; echo x > full; stat -c '%u %a %t:%T' null tty`;
    const { output } = await sh(image, script, options);
    expect(output).toContain("core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n");
    expect(output).toContain("/proc/kcore\n/proc/self/fd\npts/ptmx\n/proc/self/fd/2\n/proc/self/fd/0\n/proc/self/fd/1\n");
    expect(output).toContain(" 00 00 00 00\n");
    expect(output).toContain("No space left on device");
    expect(output).toContain("0 666 1:3\n0 666 5:0\n");
  });

  test("sees the protected parts of /proc and /sys read-only or masked", async () => {
    const script = `echo 1 > /proc/sys/kernel/panic; mkdir /sys/x
      ls /sys/firmware | wc -l; wc -c < /proc/timer_list; wc -c < /proc/interrupts; touch /sys/firmware/x; mkdir /sys/fs/cgroup/x`;
    const { output } = await sh(image, script, options);
    expect(output.match(/Read-only file system/g)?.length).toBe(4);
    expect(output).toContain("\n0\n0\n0\n");
  });

  test("holds Docker's capabilities as root and none as another user", async () => {
    const script = "grep -E 'Cap(Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status; id; echo again > /dev/stdout";
    const root = await sh(image, script, { ...options, request: { ...options.request, securityOpt: ["no-new-privileges"] } });
    expect(root.output).toBe(
      "CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nuid=0(root) gid=0\nagain\n",
    );
    const user = await sh(image, script, { ...options, user: { uid: 1000, gid: 1000, additionalGids: [7, 9] } });
    expect(user.output).toBe(
      "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nuid=1000(user) gid=1000 groups=7,9\nagain\n",
    );
  });

  test("inherits no descriptor but its standard streams", async () => {
    const { output } = await sh(
      image,
      "ls /proc/self/fd | wc -l; ls -l /proc/1/fd 2>/dev/null | grep -v pipe | grep -c -E 'state|cgroup|/tmp'",
      options,
    );
    // the fourth is ls reading the directory
    expect(output).toBe("4\n0\n");
  });

  test("runs an exec in all its namespaces", async () => {
    await sh(image, "sleep 100", {
      ...options,
      during: async (container) => {
        const compare =
          "for ns in mnt uts ipc net pid cgroup user; do { readlink /proc/1/ns/$ns; readlink /proc/self/ns/$ns; } | uniq | wc -l; done; hostname; id -u";
        const { output, failure } = await container.exec(["sh", "-c", compare]);
        expect(failure).toBeNull();
        expect(output).toBe("1\n1\n1\n1\n1\n1\n1\njar\n0\n");
        const user = await container.exec(["sh", "-c", "id -u; echo fine > /dev/stderr"], {
          user: { uid: 1000, gid: 1000, additionalGids: [], home: "/" },
        });
        expect(user.output).toBe("1000\nfine\n");
        const cgroup = readFileSync(`/proc/${container.pid}/cgroup`, "utf8");
        expect(cgroup).toContain(container.cgroupPath);
        const inside = await container.exec(["cat", "/proc/self/cgroup"]);
        if (container.spec.linux?.namespaces?.some(({ type }) => type === "cgroup"))
          expect(inside.output).toMatch(/pids?:\/$|:pids:\/\n/m);
      },
    });
  });

  test("gets a terminal of its own devpts", async () => {
    const change: Options["change"] = (spec) => {
      spec.process!.consoleSize = { height: 33, width: 77 };
    };
    const request = { ...options.request, tty: true };
    const { output, failure } = await sh(
      image,
      "tty; stty size; echo direct > /dev/console; stat -c %t:%T /dev/console; echo $TERM",
      {
        ...options,
        request,
        change,
        user: { uid: 1000, gid: 1000 },
      },
    );
    expect(failure).toBeNull();
    expect(output).toBe("/dev/pts/0\n33 77\ndirect\n88:0\nxterm\n");
    await sh(image, "sleep 100", {
      ...options,
      during: async (container) => {
        const exec = await container.exec(["sh", "-c", "tty; stty size"], { tty: true, size: { height: 20, width: 40 } });
        expect(exec.output.replaceAll("\r", "")).toBe("/dev/pts/0\n20 40\n");
      },
    });
  });
});

describe("the process", () => {
  test("is not found (ENOENT), not executable (EACCES), or found by PATH in order", async () => {
    expect((await run({ image, args: ["nosuch"] })).failure).toBe("child fail ENOENT: run nosuch");
    expect((await run({ image, args: ["/nosuch"] })).failure).toBe("child execve ENOENT: run /nosuch");
    expect((await run({ image, args: ["/etc/passwd"] })).failure).toBe("child execve EACCES: run /etc/passwd");
    const path = { env: ["PATH=/nosuch:/etc/passwd:/etc::/bin"] };
    expect((await run({ image, args: ["passwd"], request: { env: ["PATH=/etc"] } })).failure).toBe(
      "child fail EACCES: run passwd",
    );
    expect((await run({ image, args: ["echo", "found"], request: path })).output).toBe("found\n");
  });

  test("has its limits, raised over the engine's where the host allows it, and its mask", async () => {
    const change: Options["change"] = (spec) => {
      spec.process!.rlimits = [
        { type: "RLIMIT_NOFILE", soft: 10, hard: 20 },
        { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      ];
      spec.process!.user!.umask = 0o077;
    };
    const { output } = await sh(image, "ulimit -n; ulimit -Hn; ulimit -c; umask", { change });
    expect(output).toBe("10\n20\n0\n0077\n");
  });

  test("has its working directory made, and is kept from one outside the root", async () => {
    expect((await sh(image, "pwd; stat -c %u .", { request: { workdir: "/srv/new/place" } })).output).toBe("/srv/new/place\n0\n");
    const file = await sh(image, "pwd", { request: { workdir: "/etc/passwd" } });
    expect(file.failure).toBe("child open ENOTDIR: open the working directory");
    for (const fd of [3, 5, 7, 10]) {
      const { failure } = await sh(image, "pwd", { request: { workdir: `/proc/self/fd/${fd}` } });
      expect(failure).toMatch(/^child (open|mkdir) (ELOOP|ENOENT|EACCES): open the working directory$/);
    }
    await sh(image, "sleep 100", {
      during: async (container) => {
        const { failure } = await container.exec(["pwd"], { workdir: "/proc/self/fd/5" });
        expect(failure).toMatch(/^child open (ELOOP|ENOENT|EACCES): open the working directory$/);
      },
    });
  });

  test("has the attributes asked for", async () => {
    const change: Options["change"] = (spec) => {
      spec.process!.oomScoreAdj = 500;
      spec.process!.scheduler = { policy: "SCHED_BATCH", nice: 5 };
      spec.process!.ioPriority = { class: "IOPRIO_CLASS_BE", priority: 6 };
      spec.linux!.personality = { domain: "LINUX32" };
      spec.linux!.sysctl = { "kernel.msgmax": "9000", "net/ipv4/ip_forward": "1" };
      spec.domainname = "earthenware";
    };
    const script =
      "cat /proc/self/oom_score_adj; ionice -p $$; uname -m; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/domainname; grep -i policy /proc/self/sched; cut -d' ' -f19,41 /proc/self/stat";
    const { output, failure } = await sh(image, script, { change });
    expect(failure).toBeNull();
    expect(output).toStartWith("500\nbest-effort: prio 6\ni686\n9000\n1\nearthenware\n");
    expect(output).toEndWith("5 3\n");
  });

  test("has the offsets of its time namespace", async () => {
    const change: Options["change"] = (spec) => {
      spec.linux!.namespaces!.push({ type: "time" });
      spec.linux!.timeOffsets = { boottime: { secs: 864_000 }, monotonic: { secs: 86_400, nanosecs: 5 } };
    };
    for (const userns of [true, false]) {
      const { output, failure } = await sh(image, "cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets", { change, userns });
      expect(failure).toBeNull();
      expect(Number(output.split("\n")[0])).toBeGreaterThanOrEqual(864_000);
      expect(output.replace(/ +/g, " ")).toContain("monotonic 86400 5\nboottime 864000 0\n");
    }
  });

  test("joins the user namespace of another container, with a pid namespace of its own, as the containers of a pod do", async () => {
    await sh(image, "sleep 100", {
      during: async ({ pid }) => {
        const change: Options["change"] = (spec) => {
          const path = (type: string) => `/proc/${pid}/ns/${type === "network" ? "net" : type}`;
          spec.linux!.namespaces = spec.linux!.namespaces!.map(({ type }) =>
            ["user", "network", "ipc", "uts"].includes(type) ? { type, path: path(type) } : { type },
          );
          delete spec.hostname;
          delete spec.linux!.sysctl;
        };
        const { output, failure } = await sh(
          image,
          "echo $$; id -u; readlink /proc/self/ns/user; hostname; ls /sys/class/net; ls -d /proc/[0-9]* | wc -l; touch /mine; stat -c %u /mine",
          {
            change,
          },
        );
        expect(failure).toBeNull();
        expect(output).toBe(`1\n0\n${Bun.spawnSync(["readlink", `/proc/${pid}/ns/user`]).stdout}jar\nlo\n3\n0\n`);
      },
    });
  });

  test("sees its cgroup as the root of every hierarchy it is in", async () => {
    for (const userns of [true, false]) {
      const { output } = await sh(image, "cat /proc/self/cgroup", { userns });
      const lines = output.trim().split("\n");
      expect(lines.filter((line) => !line.endsWith(":/") && !line.includes("name="))).toEqual([]);
    }
  });

  test("joins namespaces by path, with and without a user namespace of its own", async () => {
    await sh(image, "sleep 100", {
      userns: false,
      during: async ({ pid }) => {
        for (const userns of [true, false]) {
          const change: Options["change"] = (spec) => {
            spec.linux!.namespaces = spec.linux!.namespaces!.map(({ type }) =>
              ["network", "ipc", "uts", "pid"].includes(type)
                ? { type, path: `/proc/${pid}/ns/${type === "network" ? "net" : type}` }
                : { type },
            );
            delete spec.hostname;
            delete spec.linux!.sysctl;
          };
          const { output, failure } = await sh(
            image,
            "for ns in net ipc uts pid; do readlink /proc/self/ns/$ns; done; hostname; ls /sys/class/net",
            { change, userns },
          );
          expect(failure).toBeNull();
          const links = ["net", "ipc", "uts", "pid"]
            .map((ns) => `${Bun.spawnSync(["readlink", `/proc/${pid}/ns/${ns}`]).stdout}`)
            .join("");
          expect(output).toBe(`${links}jar\nlo\n`);
        }
      },
    });
  });
});

test("a capability this host's root lacks is left out, in a user namespace it is there", async () => {
  const script = "grep CapEff /proc/self/status | cut -f2";
  const all = (1n << BigInt(facts.lastCap + 1)) - 1n;
  const lacking = (facts.unavailableCaps ?? []).reduce((mask, number) => mask | (1n << BigInt(number)), 0n);
  const { output } = await sh(image, script, { userns: false, request: { privileged: true } });
  expect(BigInt(`0x${output.trim()}`)).toBe(all & ~lacking);
  expect(BigInt(`0x${(await sh(image, script, { request: { capAdd: ["ALL"] } })).output.trim()}`)).toBe(all);
});
