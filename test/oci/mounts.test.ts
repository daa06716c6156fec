/** Mounts, devices, masked and read-only paths, propagation: what is asked for is what the container sees, and the host sees nothing. */
import { afterAll, expect, test } from "bun:test";
import { chownSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Mount } from "../../src/oci/spec.ts";
import { TestRuntime, testNewer } from "../kit/bundle.ts";
import { type Change, userNamespace, withMount } from "../kit/oci-spec.ts";

const runtime = new TestRuntime();
afterAll(() => runtime.close(), 60_000);

let count = 0;
/** A directory of the host with one file. */
function source(): string {
  const directory = join(runtime.base, `source-${count++}`);
  mkdirSync(join(directory, "below"), { recursive: true });
  writeFileSync(join(directory, "file"), "content\n");
  return directory;
}

async function output(script: string, ...changes: Change[]): Promise<string> {
  const { stdout, stderr, code } = await runtime.shell(script, ...changes);
  expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
  return stdout;
}

const bind = (options: string[], from = source()): Mount => ({ destination: "/mnt", type: "bind", source: from, options });
/** The mount's own options, as mountinfo has them. */
const OPTIONS = "grep ' /mnt ' /proc/self/mountinfo | tail -1 | cut -d ' ' -f 6";

test("a bind mount shows the host's directory, writes go through, and the host has no mount of it", async () => {
  const from = source();
  expect(await output("cat /mnt/file; echo new > /mnt/new", withMount(bind(["rbind", "rw"], from)))).toBe("content\n");
  expect(readFileSync(join(from, "new"), "utf8")).toBe("new\n");
  expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(from);
});

test("a file is bound over a file, made if it is missing; directories on the way are made", async () => {
  const from = join(source(), "file");
  expect(await output("cat /a/b/c", withMount({ destination: "/a/b/c", type: "bind", source: from, options: ["bind"] }))).toBe(
    "content\n",
  );
});

test.each([
  [["rbind", "ro"], "ro"],
  [["bind", "ro", "nosuid", "nodev", "noexec"], "ro,nosuid,nodev,noexec"],
  [["bind", "noatime"], "rw,noatime"],
  [["bind", "nodiratime"], "nodiratime"],
  [["bind", "rw", "ro"], "ro"],
  [["bind", "ro", "rw"], "rw"],
])("options %j are the mount's", async (options, expected) => {
  const found = (await output(OPTIONS, withMount(bind(options)))).trim().split(",");
  for (const option of expected.split(",")) expect(found).toContain(option);
});

test("a read-only bind mount cannot be written", async () => {
  expect(await output("(echo x > /mnt/file) 2>/dev/null || echo refused; cat /mnt/file", withMount(bind(["rbind", "ro"])))).toBe(
    "refused\ncontent\n",
  );
});

testNewer("rro makes what is mounted below read-only too", async () => {
  const { stdout } = await runtime.shell(
    "(echo x > /mnt/shm/file) 2>/dev/null || echo refused",
    withMount(bind(["rbind", "rro"], "/dev")),
  );
  expect(stdout).toBe("refused\n");
});

test("ro without rro leaves what is mounted below as it is", async () => {
  const name = runtime.uniqueId();
  const { stdout } = await runtime.shell(
    `touch /mnt/shm/${name} && rm /mnt/shm/${name} && echo written`,
    withMount(bind(["rbind", "ro"], "/dev")),
  );
  expect(stdout).toBe("written\n");
});

test("a tmpfs has the size, mode and flags asked for", async () => {
  const options = ["size=1m", "mode=1770", "nosuid", "noexec"];
  const mount = { destination: "/mnt", type: "tmpfs", source: "tmpfs", options };
  expect(await output("stat -c %a /mnt; df -k /mnt | tail -1 | tr -s ' ' | cut -d ' ' -f 2", withMount(mount))).toBe(
    "1770\n1024\n",
  );
});

test("mounts are made in their order: a later one on top of, or below, an earlier", async () => {
  const [first, second] = [source(), source()];
  writeFileSync(join(second, "file"), "second\n");
  const changes = [withMount(bind(["bind"], first)), withMount({ ...bind(["bind"], second), destination: "/mnt/below" })];
  expect(await output("cat /mnt/file /mnt/below/file", ...changes)).toBe("content\nsecond\n");
});

test("a mount point that is a link leads inside the root", async () => {
  const bundle = runtime.bundle(["sh", "-c", "cat /real/file"], withMount({ ...bind(["bind"]), destination: "/link" }));
  mkdirSync(join(bundle.rootfs, "real"));
  symlinkSync("/real", join(bundle.rootfs, "link"));
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toBe("content\n");
  expect(existsSync("/real")).toBe(false);
});

testNewer("an id-mapped mount shows the host's ids as its own mappings say", async () => {
  const from = source();
  chownSync(join(from, "file"), 1000, 1000);
  const mappings = [{ containerID: 1000, hostID: 5000, size: 1 }];
  const mount: Mount = { ...bind(["bind"], from), uidMappings: mappings, gidMappings: mappings };
  expect(await output("stat -c %u:%g /mnt/file", withMount(mount))).toBe("5000:5000\n");
});

testNewer("idmap takes the container's own mappings: files of the host's root are the container's root's", async () => {
  const bundle = runtime.bundle(["stat", "-c", "%u:%g", "/mnt/file"], userNamespace(), withMount(bind(["bind", "idmap"])));
  mkdirSync(join(bundle.rootfs, "mnt"));
  const { stdout, stderr } = await runtime.call(["run", "--bundle", bundle.directory, bundle.id]);
  expect({ stdout, stderr }).toEqual({ stdout: "0:0\n", stderr: "" });
});

test("the default devices are there and are what they are called", async () => {
  const script =
    "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; ls -l /dev/fd /dev/stdin /dev/ptmx | sed 's/.* \\(.dev\\)/\\1/'";
  expect(await output(script)).toBe(
    [
      ...["null 1:3", "zero 1:5", "full 1:7", "random 1:8", "urandom 1:9", "tty 5:0"].map((device) =>
        device.replace(/(.*) (.*)/, "/dev/$1 character special file $2 666"),
      ),
      "/dev/fd -> /proc/self/fd",
      "/dev/ptmx -> pts/ptmx",
      "/dev/stdin -> /proc/self/fd/0",
      "",
    ].join("\n"),
  );
});

test("devices asked for have their numbers, modes and owners, and the cgroup decides about their use", async () => {
  const devices: Change = (spec) => {
    spec.linux!.devices = [
      { path: "/dev/extra/zero", type: "c", major: 1, minor: 5, fileMode: 0o644, uid: 7, gid: 8 },
      { path: "/dev/pipe", type: "p", fileMode: 0o600 },
      { path: "/dev/memory", type: "c", fileMode: 0o666, major: 1, minor: 1 },
    ];
    spec.linux!.resources!.devices = [
      { allow: false, access: "rwm" },
      { allow: true, type: "c", major: 1, minor: 5, access: "r" },
    ];
  };
  const script =
    "stat -c '%F %t:%T %a %u:%g' /dev/extra/zero; stat -c %F /dev/pipe; head -c 1 /dev/extra/zero | wc -c; cat /dev/memory 2>&1 | head -c 60";
  expect(await output(script, devices)).toBe(
    "character special file 1:5 644 7:8\nfifo\n1\ncat: can't open '/dev/memory': Operation not permitted\n",
  );
});

test("masked paths read as empty, read-only ones cannot be written, missing ones are no matter", async () => {
  const bundle = runtime.bundle(
    [
      "sh",
      "-c",
      "wc -c < /secret; ls -A /secrets | wc -l; (echo x > /fixed/file) 2>/dev/null || echo refused; touch /secrets/x 2>/dev/null || echo refused",
    ],
    (spec) => {
      spec.linux!.maskedPaths = ["/secret", "/secrets", "/not-there"];
      spec.linux!.readonlyPaths = ["/fixed", "/not-there-either"];
    },
  );
  writeFileSync(join(bundle.rootfs, "secret"), "secret");
  for (const directory of ["secrets", "fixed"]) {
    mkdirSync(join(bundle.rootfs, directory));
    writeFileSync(join(bundle.rootfs, directory, "file"), "secret");
  }
  expect((await runtime.call(["run", "--bundle", bundle.directory, bundle.id])).stdout).toBe("0\n0\nrefused\nrefused\n");
  expect(readFileSync(join(bundle.rootfs, "fixed/file"), "utf8")).toBe("secret");
});

test("a read-only root is read-only, what is mounted on it is not", async () => {
  const readonly: Change = (spec) => {
    spec.root!.readonly = true;
  };
  const tmp = withMount({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
  expect(await output("touch /x 2>/dev/null || echo refused; touch /tmp/x && echo written", readonly, tmp)).toBe(
    "refused\nwritten\n",
  );
});

test.each([
  ["private", /^[^:]*$/],
  ["slave", /^[^:]*$|master:/],
  ["shared", /shared:/],
  ["unbindable", /unbindable/],
] as const)("rootfsPropagation %s", async (rootfsPropagation, expected) => {
  const { stdout, code } = await runtime.shell(
    `awk '$5 == "/"' /proc/self/mountinfo | sed 's/ - .*//' | cut -d ' ' -f 7-`,
    (spec) => {
      spec.linux!.rootfsPropagation = rootfsPropagation;
    },
  );
  expect(code).toBe(0);
  expect(stdout.trim()).toMatch(expected);
});

test.each([
  ["rprivate", /^$/],
  ["rshared", /shared:/],
  ["runbindable", /unbindable/],
])("propagation of one mount: %s", async (option, expected) => {
  const found = await output(
    "grep ' /mnt ' /proc/self/mountinfo | sed 's/ - .*//' | cut -d ' ' -f 7-",
    withMount(bind(["rbind", option])),
  );
  expect(found.trim()).toMatch(expected);
});

test("nothing of the host's tree is mounted in the container but what was asked for", async () => {
  const found = (await output("cut -d ' ' -f 5 /proc/self/mountinfo")).trim().split("\n");
  for (const point of found) expect(point).toMatch(/^\/$|^\/(proc|dev|sys)(\/|$)/);
});
