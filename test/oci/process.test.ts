/** What `process` asks for is what the program sees. Source: runtime-spec, config.md, "Process". */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Process } from "../../src/oci/spec.ts";
import { availableCapabilities, TestRuntime, testNewer } from "../kit/bundle.ts";
import type { Change } from "../kit/oci-spec.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

const withProcess =
  (changes: Partial<Process>): Change =>
  (spec) => {
    Object.assign(spec.process!, changes);
  };

async function output(script: string, ...changes: Change[]): Promise<string> {
  const { stdout, stderr, code } = await runtime.shell(script, ...changes);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout;
}

const status = (name: string): string => `grep ^${name}: /proc/self/status | cut -f 2`;
const SETS = `for set in CapInh CapPrm CapEff CapBnd CapAmb; do ${status("$set")}; done`;
const mask = (...bits: number[]): string =>
  bits
    .reduce((all, bit) => all | (1n << BigInt(bit)), 0n)
    .toString(16)
    .padStart(16, "0");

test("each set of capabilities is its own", async () => {
  const capabilities = {
    bounding: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SETUID"],
    permitted: ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
    effective: ["CAP_CHOWN", "CAP_KILL"],
    inheritable: ["CAP_CHOWN", "CAP_NET_RAW"],
    ambient: ["CAP_CHOWN"],
  };
  // Root gains by execve what is in its bounding set; 1000 keeps what is ambient.
  const found = (await output(SETS, withProcess({ capabilities, user: { uid: 1000, gid: 1000 } }))).split("\n");
  expect(found.slice(0, 5)).toEqual([mask(0, 13), mask(0), mask(0), mask(0, 5, 7, 13), mask(0)]);
});

test("no capabilities at all", async () => {
  const found = await output(SETS, withProcess({ capabilities: {} }));
  expect(found).toBe(`${mask()}\n`.repeat(5));
});

test("all that there are", async () => {
  const all = [...availableCapabilities];
  const capabilities = { bounding: all, permitted: all, effective: all, inheritable: all, ambient: all };
  const [inheritable, permitted, effective, bounding, ambient] = (await output(SETS, withProcess({ capabilities }))).split("\n");
  expect(new Set([inheritable, permitted, effective, bounding, ambient]).size).toBe(1);
});

test("user, groups and umask", async () => {
  const user = { uid: 1000, gid: 1001, umask: 0o027, additionalGids: [5, 65_534, 70_000] };
  expect(await output("id -u; id -g; id -G; umask; touch /tmp/f; stat -c %a:%u:%g /tmp/f", withProcess({ user }))).toBe(
    "1000\n1001\n1001 5 65534 70000\n0027\n640:1000:1001\n",
  );
});

test("resource limits, soft and hard", async () => {
  const rlimits = [
    { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
    { type: "RLIMIT_CORE", soft: 0, hard: 0 },
    { type: "RLIMIT_FSIZE", soft: 1_048_576, hard: 2_097_152 },
    { type: "RLIMIT_NPROC", soft: 50, hard: 60 },
    { type: "RLIMIT_STACK", soft: 4_194_304, hard: 8_388_608 },
  ];
  const found = await output("cat /proc/self/limits", withProcess({ rlimits }));
  for (const line of [
    /Max open files +100 +200/,
    /Max core file size +0 +0/,
    /Max file size +1048576 +2097152/,
    /Max processes +50 +60/,
  ])
    expect(found).toMatch(line);
  expect(found).toMatch(/Max stack size +4194304 +8388608/);
});

test("oom_score_adj is raised, and is the runtime's own if nothing is asked", async () => {
  expect(await output("cat /proc/self/oom_score_adj", withProcess({ oomScoreAdj: 321 }))).toBe("321\n");
  expect(await output("cat /proc/self/oom_score_adj")).toBe(await Bun.file("/proc/self/oom_score_adj").text());
});

test.each([true, false])("noNewPrivileges %p", async (noNewPrivileges) => {
  expect(await output(status("NoNewPrivs"), withProcess({ noNewPrivileges }))).toBe(`${Number(noNewPrivileges)}\n`);
});

test("the environment is what is given, HOME is added from the container's passwd", async () => {
  expect(await output("env | sort", withProcess({ env: ["PATH=/bin", "A=1", "B=two words"] }))).toBe(
    "A=1\nB=two words\nHOME=/root\nPATH=/bin\nPWD=/\nSHLVL=1\n",
  );
  expect(await output("echo $HOME", withProcess({ env: ["PATH=/bin", "HOME=/given"] }))).toBe("/given\n");
  const bundle = runtime.bundle(["sh", "-c", "echo $HOME"], withProcess({ user: { uid: 77, gid: 77 } }));
  writeFileSync(join(bundle.rootfs, "etc/passwd"), "seven:x:77:77::/home/seven:/bin/sh\n");
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toBe("/home/seven\n");
});

test("the host's /dev/null is not given to the user that reads from it", async () => {
  const user = { uid: 4242, gid: 4242 };
  await output("true", withProcess({ user }));
  const { id } = await runtime.running();
  await runtime.ok(["exec", "--user", "4242:4242", id, "true"]);
  await runtime.remove(id);
  expect(statSync("/dev/null").uid).not.toBe(user.uid);
});

test("a program is looked up in the container's PATH, and only there", async () => {
  const bundle = runtime.bundle(["tool"], withProcess({ env: ["PATH=/missing:/opt/a:/opt/b"] }));
  for (const [directory, mode] of [
    ["opt/a", 0o644],
    ["opt/b", 0o755],
  ] as const) {
    mkdirSync(join(bundle.rootfs, directory), { recursive: true });
    writeFileSync(join(bundle.rootfs, directory, "tool"), `#!/bin/sh\necho ${directory}\n`, { mode });
  }
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toBe("opt/b\n");
  expect((await runtime.run(["bash"])).code).not.toBe(0);
});

test("the working directory is made if it is missing, as root", async () => {
  expect(await output("pwd; stat -c %u:%a .", withProcess({ cwd: "/made/here" }))).toBe("/made/here\n0:755\n");
});

test("it leads a session and a process group, ignores and blocks nothing", async () => {
  const bundle = runtime.bundle(["sh", "-c", `cut -d ' ' -f 5,6 /proc/1/stat; ${status("SigIgn")}; ${status("SigBlk")}`]);
  const under = ["sh", "-c", 'trap "" HUP TERM USR1 PIPE; exec "$@"', "sh"];
  const { stdout } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id], { under });
  expect(stdout).toBe(`1 1\n${mask()}\n${mask()}\n`);
});

test("arguments come as they are: empty, with spaces, quotes, newlines, UTF-8, many", async () => {
  const words = ["", " ", "a b", "'", '"', "\n", "옹기", "$HOME", "*"];
  const bundle = runtime.bundle(["sh", "-c", 'for word; do printf "%s|" "$word"; done', "sh", ...words]);
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toBe(
    words.map((word) => `${word}|`).join(""),
  );
  const many = await runtime.run(["sh", "-c", "echo $#", "sh", ...Array.from({ length: 20_000 }, (_, n) => String(n))]);
  expect(many.stdout).toBe("20000\n");
});

test("domain name and host name", async () => {
  expect(await output("hostname")).toBe("jar\n");
});

testNewer("the domain name is set", async () => {
  expect(await output("cat /proc/sys/kernel/domainname", (spec) => void Object.assign(spec, { domainname: "example.org" }))).toBe(
    "example.org\n",
  );
});

testNewer("personality", async () => {
  const personality: Change = (spec) => {
    spec.linux!.personality = { domain: "LINUX32" };
  };
  expect(await output("uname -m", personality)).toMatch(/^i[36]86$|^armv\d/m);
});

testNewer("I/O priority", async () => {
  expect(await output("ionice -p $$", withProcess({ ioPriority: { class: "IOPRIO_CLASS_BE", priority: 6 } }))).toBe(
    "best-effort: prio 6\n",
  );
  expect(await output("ionice -p $$", withProcess({ ioPriority: { class: "IOPRIO_CLASS_IDLE" } }))).toMatch(/^idle/);
});

testNewer.each([
  [{ policy: "SCHED_BATCH", nice: 5 }, "3", "5"],
  [{ policy: "SCHED_IDLE" }, "5", "0"],
  [{ policy: "SCHED_OTHER", nice: 7 }, "0", "7"],
])("scheduler %j", async (scheduler, policy, nice) => {
  // proc(5), stat: field 19 is nice, 41 the policy.
  expect(await output("cut -d ' ' -f 19,41 /proc/self/stat", withProcess({ scheduler }))).toBe(`${nice} ${policy}\n`);
});

testNewer("an exec runs on the processors that execCPUAffinity names in the end", async () => {
  const bundle = await runtime.running(["sleep", "1000"], withProcess({ execCPUAffinity: { initial: "0", final: "1" } }));
  const { stdout } = await runtime.ok(["exec", bundle.id, "sh", "-c", "grep Cpus_allowed_list /proc/self/status"]);
  expect(stdout).toBe("Cpus_allowed_list:\t1\n");
  await runtime.remove(bundle);
});
