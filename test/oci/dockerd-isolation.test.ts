/** The OCI runtime under dockerd: what its flags limit, hide, forbid and share. */
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import type { PrivateBase } from "../kit/base.ts";
import { control, cpuQuota, memoryLimit, pidsLimit } from "../kit/control.ts";
import { eventually } from "../kit/engine.ts";
import { skipLoudly } from "../kit/skip.ts";
import { dockerSuite, IMAGE } from "./docker-suite.ts";

const status = (field: string): string => `grep ${field}: /proc/self/status | cut -f 2`;

/** libnetwork keeps the host's network namespace mounted once a container has shared it. */
const leftByDocker = (line: string): boolean => line.startsWith("mounts: ") && line.includes("/netns/default ");

dockerSuite("dockerd's isolation of containers", { leftByDocker }, (user) => {
  describe("limits", () => {
    test("--memory really kills: 137, OOMKilled and an event", async () => {
      const since = String(Math.floor(Date.now() / 1000));
      const script = "x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo survived";
      const flags = ["--name", "hungry", "-m", "32m", "--memory-swap", "32m"];
      const { stdout, code } = await user.docker.client.run(["run", ...flags, IMAGE, "sh", "-c", script]);
      expect({ stdout, code }).toEqual({ stdout: "", code: 137 });
      expect(await user.ok("inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry")).toBe("true 137");
      const filter = ["--filter", "container=hungry", "--format", "{{.Action}}"];
      const events = () => user.ok("events", "--since", since, "--until", "0s", ...filter);
      await eventually("an oom event", async () => (await events()).split("\n").includes("oom"));
      await user.remove("hungry");
    });

    test("memory, cpus, shares, cpuset and pids are in the kernel", async () => {
      const flags = ["-m", "64m", "--memory-reservation", "32m", "--cpus", "0.5", "--cpuset-cpus", "0", "--pids-limit", "77"];
      const id = await user.sleeping(...flags, "--cpu-shares", "512");
      const pid = await user.pidOf(id);
      expect([memoryLimit(pid), cpuQuota(pid), pidsLimit(pid)]).toEqual([String(64 << 20), 50_000, "77"]);
      expect(control(pid, "memory.low", { controller: "memory", file: "memory.soft_limit_in_bytes" })).toBe(String(32 << 20));
      expect(control(pid, "cpuset.cpus", { controller: "cpuset", file: "cpuset.cpus" })).toBe("0");
      expect(["512", "20", "59"]).toContain(control(pid, "cpu.weight", { controller: "cpu", file: "cpu.shares" }));
      await user.remove(id);
    });

    test("--pids-limit holds: the fork beyond it fails", async () => {
      const { stdout, stderr, code } = await user.run([
        ...["--pids-limit", "12", IMAGE, "sh", "-c"],
        "for i in $(seq 1 30); do sleep 20 & done; echo all",
      ]);
      expect(code).not.toBe(0);
      expect(stdout).not.toContain("all");
      expect(stderr).toMatch(/fork/);
    });

    test("update changes them while it runs", async () => {
      const id = await user.sleeping("-m", "64m", "--memory-swap", "64m");
      const pid = await user.pidOf(id);
      await user.ok("update", "-m", "96m", "--memory-swap", "96m", "--cpus", "1.5", "--pids-limit", "55", id);
      expect([memoryLimit(pid), cpuQuota(pid), pidsLimit(pid)]).toEqual([String(96 << 20), 150_000, "55"]);
      await user.ok("update", "--cpus", "0.25", id);
      expect([memoryLimit(pid), cpuQuota(pid), pidsLimit(pid)]).toEqual([String(96 << 20), 25_000, "55"]);
      await user.remove(id);
    });

    test("--ulimit, --oom-score-adj, --shm-size", async () => {
      const flags = ["--ulimit", "nofile=512:1024", "--ulimit", "core=0", "--oom-score-adj", "500", "--shm-size", "8m"];
      const script = "ulimit -Sn; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; df -k /dev/shm | awk 'END { print $2 }'";
      expect(await user.says(flags, script)).toBe("512\n1024\n0\n500\n8192");
    });
  });

  describe("the root file system", () => {
    test("--read-only with --tmpfs: only the tmpfs can be written, as large as it was asked to be", async () => {
      const script = "touch /x; touch /scratch/x && ls /scratch; df -k /scratch | awk 'END { print $2 }'; stat -c %a /scratch";
      expect(await user.says(["--read-only", "--tmpfs", "/scratch:size=1m,mode=1700"], script)).toBe(
        "touch: /x: Read-only file system\nx\n1024\n1700",
      );
    });

    test("a volume outlives its container, with the image's content in it", async () => {
      expect(await user.says(["-v", "kept:/etc"], "echo more > /etc/more; cat /etc/group | head -1")).toBe("root:x:0:");
      expect(await user.says(["--mount", "source=kept,target=/data,readonly"], "cat /data/more; touch /data/x")).toBe(
        "more\ntouch: /data/x: Read-only file system",
      );
      await user.ok("volume", "rm", "kept");
    });

    test("directories and single files are bound, read-only where asked", async () => {
      mkdirSync(user.docker.base.at("shared"));
      writeFileSync(user.docker.base.at("shared/file"), "host\n");
      const bound = user.docker.base.at("shared");
      expect(
        await user.says(["-v", `${bound}:/rw`, "-v", `${bound}:/ro:ro`], "echo back > /rw/back; cat /ro/back; echo no > /ro/no"),
      ).toBe("back\nsh: can't create /ro/no: Read-only file system");
      expect(readFileSync(user.docker.base.at("shared/back"), "utf8")).toBe("back\n");
      expect(await user.says(["-v", `${bound}/file:/etc/motd:ro`], "cat /etc/motd")).toBe("host");
    });

    test("a bind of a file or directory that the image does not have makes its mount point", async () => {
      const bound = user.docker.base.at("root");
      expect(
        await user.says(["-v", `${bound}:/new/deep/dir`, "-v", `${user.docker.base.at("log")}:/new/log`], "ls /new /new/deep"),
      ).toBe("/new:\ndeep\nlog\n\n/new/deep:\ndir");
    });

    test("what /proc and /sys must not show is masked or read-only", async () => {
      const script = "cat /proc/keys | wc -c; ls /proc/scsi /sys/firmware; echo x > /proc/sys/kernel/domainname; touch /sys/x";
      const words = await user.says([], script);
      expect(words).toMatch(/^0\n/);
      expect(words.match(/Read-only file system/g)?.length).toBe(2);
    });

    test("/dev has what it should and nothing else", async () => {
      // runc makes /dev/core only where /proc/kcore is
      expect(await user.says([], "ls /dev | grep -vx core | tr '\\n' ' '")).toBe(
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero",
      );
      expect(
        await user.says(
          [],
          "echo x > /dev/null; head -c 3 /dev/zero | wc -c; readlink /dev/ptmx; readlink /dev/fd; echo x > /dev/full",
        ),
      ).toBe("3\npts/ptmx\n/proc/self/fd\nsh: write error: No space left on device");
    });
  });

  describe("privileges", () => {
    test("capabilities are dropped and added", async () => {
      const script = `${status("CapEff")}; ${status("CapBnd")}; ${status("CapInh")}; ${status("CapAmb")}`;
      expect((await user.says(["--cap-drop", "ALL", "--cap-add", "CHOWN"], script)).split("\n")[0]).toBe("0000000000000001");
      expect((await user.says(["--cap-add", "NET_ADMIN"], script)).split("\n").slice(0, 2)).toEqual(
        Array(2).fill("00000000a80435fb"),
      );
      expect((await user.says(["--user", "1000"], script)).split("\n")[0]).toBe("0000000000000000");
    });

    test("--user by number and by name, --group-add", async () => {
      expect(await user.says(["--user", "1234:4321", "--group-add", "55"], "id -u; id -g; id -G")).toBe("1234\n4321\n4321 55");
      expect(await user.says(["--user", "nobody"], "id -un; id -gn; pwd")).toBe("nobody\nnogroup\n/");
    });

    test("no-new-privileges", async () => {
      expect(await user.says(["--security-opt", "no-new-privileges"], status("NoNewPrivs"))).toBe("1");
      expect(await user.says([], status("NoNewPrivs"))).toBe("0");
    });

    test("a seccomp profile really denies; Docker's own is on by default", async () => {
      const profile = user.docker.base.at("seccomp.json");
      const rule = { names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 28 };
      writeFileSync(profile, JSON.stringify({ defaultAction: "SCMP_ACT_ALLOW", syscalls: [rule] }));
      expect(await user.says(["--security-opt", `seccomp=${profile}`], "mkdir /x; touch /y && echo touched")).toBe(
        "mkdir: can't create directory '/x': No space left on device\ntouched",
      );
      expect(await user.says([], `${status("Seccomp")}; unshare -U true`)).toBe(
        "2\nunshare: unshare(0x10000000): Operation not permitted",
      );
      expect(await user.says(["--security-opt", "seccomp=unconfined"], status("Seccomp"))).toBe("0");
    });

    test("devices: one that was given works, one that was made is refused", async () => {
      // reading the kernel's log needs CAP_SYSLOG besides
      const log = ["--cap-add", "SYSLOG"];
      const flags = [...log, "--device", "/dev/kmsg:/dev/given:r", "--device", "/dev/zero:/dev/nought"];
      expect(await user.says(flags, "head -c 2 /dev/nought | wc -c; head -c 1 /dev/given | wc -c; echo x > /dev/given")).toBe(
        "2\n1\nsh: can't create /dev/given: Operation not permitted",
      );
      expect(await user.says(log, "mknod /kmsg c 1 11 && head -c 1 /kmsg")).toBe("head: /kmsg: Operation not permitted");
      expect(await user.says([...log, "--device-cgroup-rule", "c 1:11 r"], "mknod /kmsg c 1 11 && head -c 1 /kmsg | wc -c")).toBe(
        "1",
      );
    });

    test("--privileged, also of exec: every capability Docker knows and the host has; the host's devices", async () => {
      const { stderr, code } = await user.run(["--privileged", IMAGE, "true"]);
      if (code !== 0 && stderr.includes("unable to apply caps")) {
        skipLoudly("--privileged under dockerd: runc cannot do without the capabilities that this host does not have");
        return;
      }
      const known = (1n << 38n) - 1n; // as of Docker 20.10; later ones know more
      const capabilities = (text: string): bigint => BigInt(`0x${/^Cap(?:Bnd|Eff):\t(\w+)$/m.exec(text)![1]}`) & known;
      const all = capabilities(/^CapBnd.*/m.exec(readFileSync("/proc/self/status", "utf8"))![0]);
      const words = await user.says(["--privileged"], "grep CapEff /proc/self/status; ls /dev");
      expect(capabilities(words)).toBe(all);
      expect(words.split("\n")).toContain("kmsg");
      const id = await user.sleeping();
      expect(capabilities(await user.ok("exec", "--privileged", id, "grep", "CapEff", "/proc/self/status"))).toBe(all);
      await user.remove(id);
    });
  });

  describe("namespaces", () => {
    const namespace = (name: string): string => `readlink /proc/self/ns/${name}`;

    test.each(["mnt", "pid", "net", "ipc", "uts"])("%s is the container's own", async (name) => {
      expect(await user.says([], namespace(name))).not.toBe(readlinkSync(`/proc/self/ns/${name}`));
    });

    test.each([
      ["--pid", "pid"],
      ["--ipc", "ipc"],
      ["--uts", "uts"],
      ["--network", "net"],
    ])("%s host shares the host's", async (flag, name) => {
      expect(await user.says([flag, "host"], namespace(name))).toBe(readlinkSync(`/proc/self/ns/${name}`));
    });

    test("--hostname, --domainname, --sysctl", async () => {
      const flags = ["--hostname", "celadon", "--domainname", "example.test", "--sysctl", "kernel.shm_rmid_forced=1"];
      const script = "hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shm_rmid_forced /proc/sys/net/core/somaxconn";
      expect(await user.says([...flags, "--sysctl", "net.core.somaxconn=77"], script)).toBe("celadon\nexample.test\n1\n77");
    });

    test("--network none has lo and no more, up", async () => {
      expect(await user.says(["--network", "none"], "ls /sys/class/net; ping -c 1 -W 1 127.0.0.1 | grep -c 'bytes from'")).toBe(
        "lo\n1",
      );
    });

    test("--pid, --ipc and --network container:X join another's", async () => {
      const id = await user.sleeping("--ipc", "shareable");
      const theirs = await user.pidOf(id);
      const script = `ps -o args | grep -c '^sleep 1000'; echo seen > /dev/shm/mark; ${namespace("net")}`;
      const flags = ["pid", "ipc", "network"].flatMap((name) => [`--${name}`, `container:${id}`]);
      expect(await user.says(flags, script)).toBe(`1\n${readlinkSync(`/proc/${theirs}/ns/net`)}`);
      expect(await user.ok("exec", id, "cat", "/dev/shm/mark")).toBe("seen");
      await user.remove(id);
    });

    test("--init reaps orphans and passes signals on", async () => {
      const script = "trap 'exit 41' TERM; (sleep 0.1 &); echo ready; while :; do sleep 0.1; done";
      const id = await user.ok("run", "-d", "--init", IMAGE, "sh", "-c", script);
      await eventually("ready", async () => (await user.ok("logs", id)) === "ready");
      expect(await user.ok("exec", id, "cat", "/proc/1/comm")).toBe("docker-init");
      await Bun.sleep(300);
      const orphans = (await user.ok("exec", id, "ps", "-o", "ppid,stat")).split("\n").filter((line) => /^ *1 /.test(line));
      expect(orphans.filter((line) => line.includes("Z"))).toEqual([]);
      await user.ok("stop", id);
      expect(await user.ok("inspect", "--format", "{{.State.ExitCode}}", id)).toBe("41");
      await user.remove(id);
    });
  });
});

/** /etc/subuid and subgid belong to the machine: dockerd sees others, in a mount namespace of its own. */
function withSubordinateIds(base: PrivateBase): string[] {
  const ids = base.at("subordinate-ids");
  writeFileSync(ids, "nobody:300000:65536\nnogroup:300000:65536\n");
  const script = `mount --bind ${ids} /etc/subuid && mount --bind ${ids} /etc/subgid && exec "$@"`;
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"];
}

const remapped = { flags: ["--userns-remap", "nobody:nogroup"], within: withSubordinateIds };
dockerSuite("dockerd with --userns-remap", remapped, (user) => {
  test("root inside is somebody else outside; exec, volumes and limits work", async () => {
    const id = await user.scripted("echo mine > /data/file; echo ready; exec sleep 1000", "-v", "data:/data", "-m", "64m");
    const pid = await user.pidOf(id);
    expect(statSync(`/proc/${pid}`).uid).toBe(300_000);
    expect(readFileSync(`/proc/${pid}/uid_map`, "utf8").trim().split(/\s+/)).toEqual(["0", "300000", "65536"]);
    expect(memoryLimit(pid)).toBe(String(64 << 20));
    const script = "id -u; stat -c %u /data/file /; cat /proc/self/uid_map | tr -s ' '";
    expect(await user.ok("exec", id, "sh", "-c", script)).toBe("0\n0\n0\n 0 300000 65536");
    expect((await user.docker.client.run(["exec", "-u", "1000", id, "sh", "-c", "exit 12"])).code).toBe(12);
    await user.ok("rm", "-f", "-v", id);
    await user.ok("volume", "rm", "data");
  });
});
