/** Containers of a user who is not root: with subordinate ids through newuidmap(1), and with a single id. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bundle, type Call, TestRuntime } from "../kit/bundle.ts";
import { sh } from "../kit/images.ts";
import type { Change } from "../kit/oci-spec.ts";

const UID = 61_234;
const runtime = new TestRuntime();
const home = join(runtime.base, "home");
/** The accounts and subordinate ids that newuidmap(1) knows, in a mount namespace of the caller's own. */
const FILES = ["passwd", "subuid", "subgid"];
const SUBORDINATE = 3_000_000;
const under = [
  ...["unshare", "--mount", "sh", "-c"],
  `for file in ${FILES.join(" ")}; do mount --bind ${runtime.base}/etc/$file /etc/$file || exit 99; done; exec "$@"`,
  ...["sh", "setpriv", `--reuid=${UID}`, `--regid=${UID}`, "--clear-groups", "--inh-caps=-all", "--"],
];

beforeAll(() => {
  // the runtime's log is made beside the test's own files
  chmodSync(runtime.base, 0o1777);
  mkdirSync(home);
  chownSync(home, UID, UID);
  mkdirSync(join(runtime.base, "etc"));
  writeFileSync(join(runtime.base, "etc/passwd"), `${readFileSync("/etc/passwd", "utf8")}jar:x:${UID}:${UID}::${home}:/bin/sh\n`);
  for (const file of ["subuid", "subgid"]) writeFileSync(join(runtime.base, "etc", file), `jar:${SUBORDINATE}:65536\n`);
});
afterAll(async () => {
  for (const bundle of made) await call(["delete", "--force", bundle.id]);
  await runtime.close();
}, 60_000);
const made: Bundle[] = [];

const call = (args: readonly string[]): Promise<Call> =>
  runtime.call(["--root", join(home, "state"), ...args], { under, env: { HOME: home, XDG_RUNTIME_DIR: home }, cwd: home });

/** What `spec --rootless` makes of a specification. */
const rootless: Change = (spec) => {
  spec.linux!.namespaces = [...spec.linux!.namespaces!.filter(({ type }) => type !== "network"), { type: "user" }];
  spec.linux!.uidMappings = [{ containerID: 0, hostID: UID, size: 1 }];
  spec.linux!.gidMappings = [{ containerID: 0, hostID: UID, size: 1 }];
  delete spec.linux!.resources;
  for (const mount of spec.mounts!) mount.options = mount.options?.filter((option) => option !== "gid=5") ?? [];
  const sys = spec.mounts!.findIndex(({ destination }) => destination === "/sys");
  spec.mounts![sys] = {
    destination: "/sys",
    type: "none",
    source: "/sys",
    options: ["rbind", "nosuid", "noexec", "nodev", "ro"],
  };
};

function bundle(args: readonly string[], ...changes: Change[]): Bundle {
  const result = runtime.bundle(args, rootless, ...changes, (spec) => {
    delete spec.linux!.cgroupsPath;
  });
  delete result.spec.linux!.cgroupsPath;
  result.write();
  sh(["chown", "-R", `${UID}:${UID}`, result.directory]);
  chmodSync(result.directory, 0o755);
  made.push(result);
  return result;
}

test("with a single id: root inside, the user outside", async () => {
  const one = bundle(["sh", "-c", "id -u; tr -s ' ' < /proc/self/uid_map; touch /made && stat -c %u /made; hostname"]);
  const { stdout, stderr, code } = await call(["run", "--bundle", one.directory, one.id]);
  expect({ stdout, stderr, code }).toEqual({ stdout: `0\n 0 ${UID} 1\n0\njar\n`, stderr: "", code: 0 });
  expect(Bun.spawnSync(["stat", "-c", "%u", join(one.rootfs, "made")]).stdout.toString()).toBe(`${UID}\n`);
});

test("life from create to delete, with exec, as that user", async () => {
  const one = bundle(["sleep", "1000"]);
  for (const command of [
    ["create", "--bundle", one.directory, one.id],
    ["start", one.id],
  ]) {
    const { code, stderr } = await call(command);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }
  expect(JSON.parse((await call(["state", one.id])).stdout)).toMatchObject({ id: one.id, status: "running" });
  const { stdout, stderr } = await call(["exec", one.id, "id", "-u"]);
  expect({ stdout, stderr }).toEqual({ stdout: "0\n", stderr: "" });
  expect((await call(["delete", "--force", one.id])).code).toBe(0);
  await runtime.expectNothingLeft(one.id);
});

test("root's files stay root's: nothing outside is gained", async () => {
  const one = bundle(
    ["sh", "-c", "chown 1 /made 2>/dev/null || echo refused; cat /etc-of-host/shadow 2>/dev/null || echo refused"],
    (spec) => {
      spec.mounts!.push({ destination: "/etc-of-host", type: "bind", source: "/etc", options: ["rbind", "ro"] });
    },
  );
  expect((await call(["run", "--bundle", one.directory, one.id])).stdout).toBe("refused\nrefused\n");
});

test("ids that are not the user's are refused and leave nothing", async () => {
  const one = bundle(["true"], (spec) => {
    spec.linux!.uidMappings = [{ containerID: 0, hostID: 0, size: 1 }];
  });
  const { code, stderr } = await call(["run", "--bundle", one.directory, one.id]);
  expect(code).toBe(1);
  expect(stderr).not.toBe("");
  await runtime.expectNothingLeft(one.id);
});

test("limits that this user cannot set are refused, not forgotten", async () => {
  const one = bundle(["true"], (spec) => {
    spec.linux!.resources = { memory: { limit: 33_554_432 } };
  });
  expect((await call(["run", "--bundle", one.directory, one.id])).code).toBe(1);
  await runtime.expectNothingLeft(one.id);
});

test("with subordinate ids, through newuidmap", async () => {
  const one = bundle(["sh", "-c", "id -u; tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map"], (spec) => {
    const subordinates = { containerID: 1, hostID: SUBORDINATE, size: 1000 };
    spec.linux!.uidMappings!.push(subordinates);
    spec.linux!.gidMappings!.push(subordinates);
    spec.process!.user = { uid: 500, gid: 500 };
  });
  const { stdout, stderr } = await call(["run", "--bundle", one.directory, one.id]);
  const map = ` 0 ${UID} 1\n 1 ${SUBORDINATE} 1000\n`;
  expect({ stdout, stderr }).toEqual({ stdout: `500\n${map}${map}`, stderr: "" });
});

test("subordinate ids that are somebody else's are refused and leave nothing", async () => {
  const one = bundle(["true"], (spec) => {
    spec.linux!.uidMappings!.push({ containerID: 1, hostID: SUBORDINATE + 65_000, size: 1000 });
  });
  const { code, stderr } = await call(["run", "--bundle", one.directory, one.id]);
  expect(code).toBe(1);
  expect(stderr).not.toBe("");
  await runtime.expectNothingLeft(one.id);
});
