/** Hooks: which, when, where, with what, and what their failure does. Source: runtime-spec, config.md, "POSIX-platform Hooks". */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Hook, Hooks } from "../../src/oci/spec.ts";
import { type Bundle, type Call, isOldRunc, TestRuntime, until } from "../kit/bundle.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

type Kind = keyof Hooks;
const KINDS: readonly Kind[] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const SETUP: readonly Kind[] = ["prestart", "createRuntime", "createContainer", "startContainer"];

/** A hook that appends what it sees to a file: of the host, or for startContainer the container's. */
const SCRIPT = `#!/bin/sh
{
  echo "kind $1"
  echo "args $0 $*"
  echo "env $(env | grep -E '^(HOOK|PATH|SECRET)' | sort | tr '\\n' ' ')"
  echo "mnt $(readlink /proc/self/ns/mnt)"
  echo "net $(readlink /proc/self/ns/net)"
  echo "cwd $(pwd)"
  echo "state $(cat | tr -d '\\n')"
} >> "$2"
`;

interface Seen {
  readonly kind: string;
  readonly args: string;
  readonly env: string;
  readonly mnt: string;
  readonly net: string;
  readonly cwd: string;
  readonly state: { ociVersion: string; id: string; pid?: number; status: string; bundle: string; annotations?: object };
}

function seenIn(file: string): Seen[] {
  if (!existsSync(file)) return [];
  const blocks = readFileSync(file, "utf8")
    .split(/^kind /m)
    .slice(1);
  return blocks.map((block) => {
    const fields = Object.fromEntries(
      `kind ${block}`
        .trim()
        .split("\n")
        .map((line) => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1)]),
    ) as unknown as Omit<Seen, "state"> & { state: string };
    return { ...fields, state: JSON.parse(fields.state) as Seen["state"] };
  });
}

/** Puts the script on the host and into the container, at the same path, and asks for all of `kinds`. */
function hooked(args: readonly string[], kinds: readonly Kind[] = KINDS): { bundle: Bundle; file: string } {
  const bundle = runtime.bundle(args);
  const file = join(bundle.directory, "seen");
  const script = join(bundle.directory, "hook");
  for (const path of [script, join(bundle.rootfs, script)]) {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, SCRIPT);
    chmodSync(path, 0o755);
  }
  bundle.spec.annotations = { "org.example.hook": "yes" };
  bundle.spec.hooks = Object.fromEntries(
    kinds.map((kind) => [kind, [{ path: script, args: ["zero", kind, file], env: [`HOOK=${kind}`, "PATH=/bin:/usr/bin"] }]]),
  );
  bundle.write();
  return { bundle, file };
}

const self = (type: string): string => readlinkSync(`/proc/self/ns/${type}`);

test("all six run, in order, in their namespaces, with state, arguments and environment as given", async () => {
  const { bundle, file } = hooked(["sh", "-c", "readlink /proc/self/ns/mnt; readlink /proc/self/ns/net; sleep 1000"]);
  const inside = join(bundle.rootfs, file);
  const created = await runtime.ok(["create", "--bundle", bundle.directory, bundle.id]);
  const { pid } = await runtime.state(bundle.id);
  // createContainer runs in the runtime's root but in the container's namespace.
  expect(seenIn(file).map(({ kind }) => kind)).toEqual(["prestart", "createRuntime", "createContainer"]);
  expect(seenIn(inside)).toEqual([]);
  await runtime.ok(["start", bundle.id]);
  expect(seenIn(inside).map(({ kind }) => kind)).toEqual(["startContainer"]);
  expect(seenIn(file).map(({ kind }) => kind)).toEqual(["prestart", "createRuntime", "createContainer", "poststart"]);
  await until(() => created.stdout.split("\n").length > 2, "the container's namespaces");
  const [mount, network] = created.stdout.trim().split("\n") as [string, string];
  await runtime.ok(["kill", bundle.id, "KILL"]);
  await runtime.until(bundle.id, "stopped");
  await runtime.ok(["delete", bundle.id]);

  const seen = [...seenIn(file), ...seenIn(inside)];
  expect(seen.map(({ kind }) => kind)).toEqual([
    "prestart",
    "createRuntime",
    "createContainer",
    "poststart",
    "poststop",
    "startContainer",
  ]);
  for (const { kind, args, env, mnt, net, state } of seen) {
    const where = ["createContainer", "startContainer"].includes(kind) ? [mount, network] : [self("mnt"), self("net")];
    expect([kind, mnt, net]).toEqual([kind, ...where] as string[]);
    // The script's name is the path; args[0] is not visible to an interpreter.
    expect(args).toBe(`${join(bundle.directory, "hook")} ${kind} ${file}`);
    expect(env).toBe(`HOOK=${kind} PATH=/bin:/usr/bin `);
    expect(state).toMatchObject({ id: bundle.id, bundle: bundle.directory, annotations: { "org.example.hook": "yes" } });
    expect(state.ociVersion).toMatch(/^1\./);
  }
  const statusOf = Object.fromEntries(seen.map(({ kind, state }) => [kind, state.status]));
  expect(statusOf.createRuntime).toBeOneOf(["creating", "created"]);
  expect(statusOf.createContainer).toBeOneOf(["creating", "created"]);
  expect(statusOf.startContainer).toBe("created");
  expect(statusOf.poststart).toBe("running");
  expect(statusOf.poststop).toBe("stopped");
  for (const { kind, state } of seen) if (["prestart", "createRuntime", "poststart"].includes(kind)) expect(state.pid).toBe(pid);
  await runtime.expectNothingLeft(bundle.id);
});

test("several of one kind run one after the other, each with the state", async () => {
  const { bundle, file } = hooked(["true"], ["createRuntime"]);
  const [hook] = bundle.spec.hooks!.createRuntime!;
  bundle.spec.hooks!.createRuntime = [1, 2, 3].map((n) => ({ ...hook!, args: ["zero", `n${n}`, file] }));
  bundle.write();
  await runtime.ok(["run", "--bundle", bundle.directory, bundle.id]);
  expect(seenIn(file).map(({ kind }) => kind)).toEqual(["n1", "n2", "n3"]);
  for (const { state } of seenIn(file)) expect(state.id).toBe(bundle.id);
});

test("nothing of the runtime's own environment reaches a hook", async () => {
  const { bundle, file } = hooked(["true"], ["createRuntime"]);
  bundle.spec.hooks!.createRuntime![0]!.env = ["HOOK=only"];
  bundle.write();
  await runtime.call(["run", "--bundle", bundle.directory, bundle.id], { env: { SECRET: "host's" } });
  expect(seenIn(file)[0]!.env).not.toContain("SECRET");
});

test("a hook's streams and descriptors do not reach the container's", async () => {
  const bundle = runtime.bundle(["echo", "program"]);
  bundle.spec.hooks = { poststart: [{ path: "/bin/sh", args: ["sh", "-c", "echo hook"] }] };
  bundle.write();
  const { stdout } = await runtime.ok(["run", "--bundle", bundle.directory, bundle.id]);
  expect(stdout.replace("hook\n", "")).toBe("program\n");
});

const failing = (kind: Kind, hook: Hook): Bundle => {
  const bundle = runtime.bundle(["sh", "-c", "echo ran"]);
  bundle.spec.hooks = { [kind]: [hook] };
  bundle.write();
  return bundle;
};

const failures: [string, Hook][] = [
  ["ends with 3", { path: "/bin/sh", args: ["sh", "-c", "echo why >&2; exit 3"] }],
  ["is killed", { path: "/bin/sh", args: ["sh", "-c", "kill -9 $$"] }],
  ["is missing", { path: "/bin/there-is-no-such-hook" }],
  ["is not executable", { path: "/etc/passwd" }],
  ["hangs", { path: "/bin/sleep", args: ["sleep", "1000"], timeout: 1 }],
];

/** In the container there is no host's /bin/sh. */
const program = (kind: Kind, hook: Hook): Hook => (kind === "startContainer" ? { ...hook } : hook);

for (const [what, hook] of failures) {
  test.each(SETUP)(`a %s hook that ${what} stops the container and cleans up`, async (kind) => {
    const bundle = failing(kind, program(kind, hook));
    const start = performance.now();
    const { code, stdout, stderr, log } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(`${stderr} ${JSON.stringify(log)}`).toMatch(/hook/);
    expect(performance.now() - start).toBeLessThan(15_000);
    await runtime.expectNothingLeft(bundle.id);
  });

  test(`a poststop hook that ${what} is only logged`, async () => {
    const bundle = failing("poststop", hook);
    await runtime.ok(["create", "--bundle", bundle.directory, bundle.id]);
    await runtime.ok(["start", bundle.id]);
    await runtime.until(bundle.id, "stopped");
    const call: Call = await runtime.call(["delete", bundle.id]);
    expect(call.code).toBe(0);
    expect(`${call.stderr} ${JSON.stringify(call.log)}`).toMatch(/hook|poststop/i);
    await runtime.expectNothingLeft(bundle.id);
  });

  // runc 1.1 ends the container for it.
  test.skipIf(isOldRunc)(`a poststart hook that ${what} is only logged`, async () => {
    const bundle = failing("poststart", hook);
    bundle.spec.process!.args = ["sh", "-c", "sleep 0.2; echo ran"];
    bundle.write();
    const { code, stdout, stderr, log } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: "ran\n" });
    expect(`${stderr} ${JSON.stringify(log)}`).toMatch(/hook|poststart/i);
    await runtime.expectNothingLeft(bundle.id);
  });
}

test("a hook that fails keeps the later ones of its kind from running; poststop runs all the same", async () => {
  const { bundle, file } = hooked(["true"], ["createRuntime", "poststop"]);
  bundle.spec.hooks!.createRuntime!.unshift({ path: "/bin/false" });
  bundle.write();
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).code).toBe(1);
  expect(seenIn(file).filter(({ kind }) => kind === "createRuntime")).toEqual([]);
  await runtime.expectNothingLeft(bundle.id);
});

test("what a hook that is ended by its timeout has started does not stay", async () => {
  const name = runtime.uniqueId();
  const bundle = failing("createRuntime", { path: "/bin/sh", args: ["sh", "-c", `exec sleep 1000 ${name}`], timeout: 1 });
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).code).toBe(1);
  await runtime.expectNothingLeft(name);
});

test.each(["", "relative/path", "hook"])("a hook's path %j, which is not absolute, is refused", async (path) => {
  const bundle = failing("createRuntime", { path });
  const { code, stderr } = await runtime.call(["create", "--bundle", bundle.directory, bundle.id]);
  expect(code).toBe(1);
  expect(stderr).not.toBe("");
  await runtime.expectNothingLeft(bundle.id);
});

test("a createContainer hook can mount into the container's root, and the host does not see it", async () => {
  const bundle = runtime.bundle(["cat", "/tmp/from-hook/file"]);
  const target = join(bundle.rootfs, "tmp/from-hook");
  mkdirSync(target);
  const script = `mount -t tmpfs ${runtime.tag} ${target} && echo mounted > ${target}/file`;
  bundle.spec.hooks = { createContainer: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/bin:/usr/bin"] }] };
  bundle.write();
  const { stdout, code } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
  expect({ stdout, code }).toEqual({ stdout: "mounted\n", code: 0 });
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(target);
});
