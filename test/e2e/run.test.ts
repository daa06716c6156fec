import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** `onggi run --rm FLAGS busybox COMMAND`; flags and command are separated by "--". */
async function run(...words: string[]) {
  const split = words.indexOf("--");
  const [flags, command] = split < 0 ? [[], words] : [words.slice(0, split), words.slice(split + 1)];
  return await engine.onggi(["run", "--rm", ...flags, "busybox", ...command]);
}

describe("output and exit status", () => {
  test("standard output and standard error stay apart", async () => {
    const { stdout, stderr, code } = await run("sh", "-c", "echo out; echo err >&2");
    expect({ stdout, stderr, code }).toEqual({ stdout: "out\n", stderr: "err\n", code: 0 });
  });

  test.each([1, 3, 42, 255])("exit status %i is passed on", async (status) => {
    expect((await run("sh", "-c", `exit ${status}`)).code).toBe(status);
  });

  test("a process that kills itself exits with 128 + the signal", async () => {
    expect((await run("sh", "-c", "sh -c 'kill -TERM $$'; exit $?")).code).toBe(143);
  });

  test("1 MiB of output arrives whole and in order", async () => {
    const { stdout, code } = await run("sh", "-c", "seq 1 150000");
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.length).toBe(150_000);
    expect(lines.every((line, index) => line === String(index + 1))).toBe(true);
  });

  test("bytes that are no text pass unchanged", async () => {
    const { stdout } = await run("sh", "-c", "printf '\\001\\177\\000end' | od -An -tx1");
    expect(stdout.trim()).toBe("01 7f 00 65 6e 64");
  });
});

describe("what cannot run", () => {
  test("a command that does not exist: 127, and the message names it", async () => {
    const { stderr, code } = await run("no-such-command");
    expect(code).toBe(127);
    expect(stderr).toContain("no-such-command");
  });

  test("a file that is not executable: 126", async () => {
    const { stderr, code } = await run("/etc/passwd");
    expect(code).toBe(126);
    expect(stderr).toContain("/etc/passwd");
  });

  test("a directory is not executable: 126", async () => {
    expect((await run("/bin")).code).toBe(126);
  });

  test.each([
    ["unknown image", ["no-such-image:7", "true"], /no-such-image:7/],
    ["memory that is no size", ["--memory", "lots", "busybox", "true"], /lots/],
    ["negative cpus", ["--cpus", "-1", "busybox", "true"], /cpus|-1/],
    ["unknown flag", ["--no-such-flag", "busybox", "true"], /no-such-flag/],
    ["unknown network", ["--network", "bridge-of-sighs", "busybox", "true"], /network|bridge-of-sighs/],
    ["relative workdir", ["--workdir", "not/absolute", "busybox", "true"], /not\/absolute|absolute/],
    ["unknown user", ["--user", "nobody-here", "busybox", "true"], /nobody-here/],
    ["unknown capability", ["--cap-add", "FLY", "busybox", "true"], /FLY/],
    ["malformed ulimit", ["--ulimit", "nofile=many", "busybox", "true"], /nofile|many/],
    ["bind source that is not there", ["--mount", "type=bind,source=/no/such,target=/y", "busybox", "true"], /no\/such/],
    ["name with a blank", ["--name", "not a name", "busybox", "true"], /not a name/],
  ])("%s: 125, and the message says what was asked", async (_what, words, message) => {
    const { stdout, stderr, code } = await engine.onggi(["run", "--rm", ...words]);
    expect(stderr).toMatch(message);
    expect({ stdout, code }).toEqual({ stdout: "", code: 125 });
  });

  test("a failed run --rm leaves no container", async () => {
    await run("no-such-command");
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test("a name in use: 125, and the owner goes on", async () => {
    const id = await engine.ok(["run", "-d", "--name", "taken", "busybox", "sleep", "100"]);
    const { stderr, code } = await engine.onggi(["run", "--name", "taken", "busybox", "true"]);
    expect(code).toBe(125);
    expect(stderr).toContain("taken");
    expect((await engine.inspect("taken")).Id).toBe(id);
    await engine.ok(["rm", "-f", "taken"]);
  });
});

describe("the process", () => {
  test("environment: Docker's defaults, -e, --env-file and values taken from the caller", async () => {
    const file = join(engine.base, "env");
    writeFileSync(file, "# comment\nFROM_FILE=f f\n\nPASSED\n");
    const { stdout } = await engine.onggi(
      ["run", "--rm", "-e", "A=1 2", "-e", "PASSED", "--env-file", file, "--hostname", "jar", "busybox", "env"],
      {
        env: { PASSED: "on" },
      },
    );
    const lines = stdout.trimEnd().split("\n").sort();
    expect(lines).toEqual(
      [
        "A=1 2",
        "FROM_FILE=f f",
        "HOME=/root",
        "HOSTNAME=jar",
        "PASSED=on",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      ].sort(),
    );
  });

  test("working directory is made when it is missing", async () => {
    expect((await run("-w", "/made/for/this", "--", "pwd")).stdout).toBe("/made/for/this\n");
  });

  test.each([
    ["1234", "uid=1234 gid=0(root) groups=0(root)"],
    ["1234:5678", "uid=1234 gid=5678 groups=5678"],
    ["nobody", "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)"],
  ])("--user %s", async (user, expected) => {
    const { stdout } = await run("--user", user, "--", "id");
    expect(stdout.trim().replace(/ groups=.*/, "")).toBe(expected.replace(/ groups=.*/, ""));
  });

  test("--group-add adds to the supplementary groups", async () => {
    expect((await run("--user", "1:1", "--group-add", "777", "--", "id", "-G")).stdout.trim().split(" ")).toContain("777");
  });

  test("--entrypoint replaces, the command becomes its arguments", async () => {
    expect((await run("--entrypoint", "/bin/echo", "--", "a", "b")).stdout).toBe("a b\n");
  });

  test("hostname: the container's short id by default, --hostname, and it is in /etc/hosts", async () => {
    expect((await run("hostname")).stdout.trim()).toMatch(/^[0-9a-f]{12}$/);
    expect(
      (await run("--hostname", "clay", "--", "sh", "-c", "hostname; cat /etc/hostname; grep -c clay /etc/hosts")).stdout,
    ).toBe("clay\nclay\n1\n");
  });

  test("pid 1 is the command; --init puts a reaper before it", async () => {
    expect((await run("sh", "-c", "echo $$")).stdout).toBe("1\n");
  });

  test("--ulimit", async () => {
    expect((await run("--ulimit", "nofile=123:456", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn")).stdout).toBe("123\n456\n");
  });

  test("--sysctl of the container's own namespaces; one of the host's is refused", async () => {
    expect(
      (
        await run(
          "--sysctl",
          "kernel.shm_rmid_forced=1",
          "--sysctl",
          "net.ipv4.ip_unprivileged_port_start=99",
          "--",
          "sh",
          "-c",
          "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start",
        )
      ).stdout,
    ).toBe("1\n99\n");
    const refused = await run("--sysctl", "kernel.panic=1", "--", "true");
    expect(refused.code).toBe(125);
    expect(refused.stderr).toContain("kernel.panic");
  });

  test("--oom-score-adj", async () => {
    expect((await run("--oom-score-adj", "500", "--", "cat", "/proc/self/oom_score_adj")).stdout).toBe("500\n");
  });

  test("no descriptor but 0, 1, 2 is open", async () => {
    // ls itself opens the directory it lists as 3.
    expect((await run("ls", "/proc/self/fd")).stdout.trim().split("\n")).toEqual(["0", "1", "2", "3"]);
  });

  test("signals start as defaults, nothing blocked or ignored", async () => {
    const { stdout } = await run("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status");
    expect(stdout.replaceAll("\t", " ")).toBe("SigBlk: 0000000000000000\nSigIgn: 0000000000000000\n");
  });
});

describe("file systems", () => {
  test("the root is writable and forgotten with the container", async () => {
    expect((await run("sh", "-c", "echo x > /new && cat /new")).stdout).toBe("x\n");
    expect((await run("ls", "/new")).code).not.toBe(0);
  });

  test("--read-only: the root refuses writes, /dev/shm and a --tmpfs take them", async () => {
    const { stdout, stderr } = await run(
      "--read-only",
      "--tmpfs",
      "/scratch:size=1m,mode=1777",
      "--",
      "sh",
      "-c",
      "touch /x; touch /dev/shm/a /scratch/b && ls /scratch",
    );
    expect(stdout).toBe("b\n");
    expect(stderr).toContain("Read-only file system");
  });

  test("--tmpfs has Docker's flags and the size that was asked for", async () => {
    const { stdout } = await run("--tmpfs", "/scratch:size=2m", "--", "grep", " /scratch ", "/proc/mounts");
    expect(stdout).toMatch(/^\S+ \/scratch tmpfs \S*nosuid/);
    expect(stdout).toMatch(/nodev/);
    expect(stdout).toMatch(/noexec/);
    expect(stdout).toMatch(/size=2048k/);
  });

  test("--shm-size", async () => {
    expect((await run("--shm-size", "1m", "--", "grep", " /dev/shm ", "/proc/mounts")).stdout).toContain("size=1024k");
  });

  test("bind mounts: read and write, read-only, a single file, and ids of the host seen as the container's own", async () => {
    const directory = join(engine.base, "shared");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "in"), "from host\n");
    const wrote = await run(
      "-v",
      `${directory}:/shared`,
      "--",
      "sh",
      "-c",
      "cat /shared/in; echo from container > /shared/out; stat -c %u /shared/in",
    );
    expect(wrote.stdout).toBe("from host\n0\n");
    expect(readFileSync(join(directory, "out"), "utf8")).toBe("from container\n");
    expect(Bun.spawnSync(["stat", "-c", "%u:%g", join(directory, "out")]).stdout.toString()).toBe("0:0\n");
    const refused = await run("-v", `${directory}:/shared:ro`, "--", "touch", "/shared/no");
    expect(refused.code).toBe(1);
    expect(existsSync(join(directory, "no"))).toBe(false);
    expect(
      (await run("--mount", `type=bind,source=${join(directory, "in")},target=/one,readonly`, "--", "cat", "/one")).stdout,
    ).toBe("from host\n");
  });

  test("a bind mount over a symbolic link in the image lands inside the container", async () => {
    const directory = join(engine.base, "over");
    mkdirSync(directory, { recursive: true });
    symlinkSync("/etc", join(directory, "link"));
    writeFileSync(join(directory, "mark"), "");
    await run("-v", `${directory}:/var/run`, "--", "true");
    expect(existsSync("/etc/mark")).toBe(false);
  });

  test("/dev has Docker's devices and no other", async () => {
    const { stdout } = await run(
      "sh",
      "-c",
      "ls /dev; echo > /dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 8 /dev/urandom | wc -c",
    );
    const [devices, checks] = [stdout.trimEnd().split("\n").slice(0, -2).sort(), stdout.trimEnd().split("\n").slice(-2)];
    expect(devices).toEqual([
      "core",
      "fd",
      "full",
      "mqueue",
      "null",
      "ptmx",
      "pts",
      "random",
      "shm",
      "stderr",
      "stdin",
      "stdout",
      "tty",
      "urandom",
      "zero",
    ]);
    expect(checks.map((line) => line.trim())).toEqual(["00 00 00 00", "8"]);
  });

  test("--device passes one host device in", async () => {
    const { stdout, code } = await run(
      "--device",
      "/dev/full:/dev/brimful:rw",
      "--",
      "sh",
      "-c",
      "stat -c %t:%T /dev/brimful; echo x > /dev/brimful",
    );
    expect(stdout).toBe("1:7\n");
    expect(code).toBe(1);
  });
});
