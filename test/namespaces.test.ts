/** Looks at namespaces, and id-mapped mounts, by the kernel. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Mount, NamespaceType, Spec } from "../src/oci/spec.ts";
import { checkNamespaces, withJoinedIdMaps } from "../src/runtime/namespaces.ts";
import { mountUserNamespaces } from "../src/standalone/id-maps.ts";
import { close, createUserNamespace } from "../src/sys/index.ts";
import { busybox, cleanUp, directory, sh } from "./runtime/kit.ts";

const isRoot = process.geteuid?.() === 0;
let base = "";
let image = "";
let sleeper: ReturnType<typeof Bun.spawn>;

beforeAll(async () => {
  if (!isRoot) return;
  image = busybox();
  base = mkdtempSync(`${tmpdir()}/onggi-namespaces-`);
  writeFileSync(`${base}/file`, "");
  Bun.spawnSync(["mkfifo", `${base}/pipe`]);
  sleeper = Bun.spawn(["unshare", "--user", "--net", "--map-root-user", "sleep", "100"]);
  const changed = () => statSync(`/proc/${sleeper.pid}/ns/user`).ino !== statSync("/proc/self/ns/user").ino;
  const mapped = () => readFileSync(`/proc/${sleeper.pid}/gid_map`, "utf8") !== "";
  while (!(changed() && mapped())) await Bun.sleep(2);
});
afterAll(async () => {
  sleeper?.kill(9);
  await cleanUp();
  if (base !== "") rmSync(base, { recursive: true, force: true });
});

const joining = (type: NamespaceType, path: string, linux: Spec["linux"] = {}): Spec => ({
  ociVersion: "1.3.0",
  linux: { ...linux, namespaces: [{ type: "mount" }, { type, path }] },
});

describe.skipIf(!isRoot)("a namespace to join", () => {
  test("is fine if it is of its type", () => {
    checkNamespaces(joining("network", `/proc/${sleeper.pid}/ns/net`, { sysctl: { "net.ipv4.ip_forward": "1" } }));
    checkNamespaces(joining("pid", "/proc/self/ns/pid_for_children"));
  });

  test.each([
    ["a file", () => `${base}/file`, /is no namespace$/],
    ["a pipe nobody writes to", () => `${base}/pipe`, /is no namespace$/],
    ["missing", () => `${base}/gone`, /ENOENT/],
    ["of another type", () => "/proc/self/ns/uts", /"\/proc\/self\/ns\/uts" is a uts namespace, not a network namespace$/],
  ])("is refused if it is %s", (_, path, problem) => {
    const check = () => checkNamespaces(joining("network", path()));
    expect(check).toThrow(problem);
    expect(check).toThrow(/^linux\.namespaces\[1\]\.path: /);
  });

  test("that is the host's own network takes no kernel parameters", () => {
    expect(() => checkNamespaces(joining("network", "/proc/self/ns/net", { sysctl: { "net.core.somaxconn": "1" } }))).toThrow(
      'linux.sysctl["net.core.somaxconn"]: would change the host\'s network namespace',
    );
  });
});

describe.skipIf(!isRoot)("the id maps of a user namespace to join", () => {
  const one = [{ containerID: 0, hostID: 0, size: 1 }];

  test("are read from a process in it, whatever its path", () => {
    const path = `/proc/${sleeper.pid}/ns/user`;
    expect(withJoinedIdMaps(joining("user", path)).linux).toMatchObject({ uidMappings: one, gidMappings: one });
    const indirect = `/proc/self/root${path}`;
    expect(withJoinedIdMaps(joining("user", indirect)).linux).toMatchObject({ uidMappings: one, gidMappings: one });
  });

  test("must be those that are given", () => {
    const path = `/proc/${sleeper.pid}/ns/user`;
    const given = { uidMappings: one, gidMappings: [{ containerID: 0, hostID: 5, size: 1 }] };
    expect(() => withJoinedIdMaps(joining("user", path, given))).toThrow(
      `linux.gidMappings: the user namespace ${path} is mapped otherwise: 0 0 1`,
    );
  });

  test("must be given where nobody is in it", () => {
    const fd = createUserNamespace("0 70000 10\n", "0 70000 10\n");
    try {
      const path = `/proc/self/fd/${fd}`;
      expect(() => withJoinedIdMaps(joining("user", path))).toThrow("no process is in it to read its id maps from");
      const map = [{ containerID: 0, hostID: 70_000, size: 10 }];
      const spec = joining("user", path, { uidMappings: map, gidMappings: map });
      expect(withJoinedIdMaps(spec)).toBe(spec);
    } finally {
      close(fd);
    }
  });
});

describe.skipIf(!isRoot)("a mount with id mappings of its own", () => {
  const map = (hostID: number) => ({
    uidMappings: [{ containerID: 0, hostID, size: 1000 }],
    gidMappings: [{ containerID: 0, hostID, size: 1000 }],
  });
  const bind = (destination: string, source: string, hostID: number, option = "idmap"): Mount => ({
    destination,
    source,
    options: ["rbind", option],
    ...map(hostID),
  });

  test("shows its files with them; equal mappings share a namespace", async () => {
    const host = directory();
    mkdirSync(`${host}/data`);
    const mounts = [bind("/a", host, 7000), bind("/b", host, 8000), bind("/c", host, 7000)];
    const made = mountUserNamespaces({ ociVersion: "1.3.0", mounts }, { bundle: "/", passedBefore: 1 });
    try {
      expect(made.fds.length).toBe(2);
      expect(made.mountUserns).toEqual({ 0: 1, 1: 2, 2: 1 });
      const { output, failure } = await sh(image, "stat -c %u /a/data /b/data /c/data", {
        userns: false,
        change: (spec) => {
          spec.mounts = [...mounts, ...spec.mounts!];
        },
        passed: made.fds,
        input: { mountUserns: made.mountUserns },
      });
      expect(failure).toBeNull();
      // files of the host's root are shown as what 0 is mapped to
      expect(output).toBe("7000\n8000\n7000\n");
    } finally {
      for (const fd of made.fds) close(fd);
    }
  });

  test("is not made anew for the container's own mappings", () => {
    const linux = { namespaces: [{ type: "user" as const }], ...map(7000) };
    const made = mountUserNamespaces({ ociVersion: "1.3.0", mounts: [bind("/a", "/tmp", 7000)], linux }, { bundle: "/" });
    expect(made).toEqual({ fds: [], mountUserns: {} });
  });

  test("of a file system that cannot is named, and nothing stays open", () => {
    const open = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith("user:");
        } catch {
          return false; // the one that reads the directory
        }
      });
    const before = open();
    const mounts = [bind("/a", "/tmp", 7000), bind("/b", "/proc", 7000, "ridmap")];
    expect(() => mountUserNamespaces({ ociVersion: "1.3.0", mounts }, { bundle: "/" })).toThrow(
      "mounts[1].source: /proc: its file system, or a mount below it, cannot be id-mapped, or is already",
    );
    expect(open()).toEqual(before);
  });
});
