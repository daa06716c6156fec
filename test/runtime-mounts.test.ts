/** The specification's mounts against the kernel. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import type { Mount, Spec } from "../src/oci/spec.ts";
import { busybox, cleanUp, directory, facts, type Options, sh } from "./runtime/kit.ts";

let image: string;
let host: string;
beforeAll(() => {
  image = busybox();
  host = directory();
  mkdirSync(`${host}/dir`);
  writeFileSync(`${host}/file`, "content\n");
  symlinkSync("file", `${host}/link`);
});
afterAll(cleanUp);

const mounts =
  (...more: Mount[]): NonNullable<Options["change"]> =>
  (spec: Spec) => {
    spec.mounts?.push(...more);
  };

// before 6.8 the list is in the order of attaching, which is the specification's anyway
test.each([true, false])("mountinfo lists the mounts in the specification's order, user namespace: %p", async (userns) => {
  let wanted: string[] = [];
  const change = (spec: Spec) => {
    spec.mounts?.push(
      { destination: "/one", source: `${host}/dir`, options: ["rbind"] },
      { destination: "/two", type: "tmpfs" },
      { destination: "/two/three", source: `${host}/file`, options: ["bind", "ro"] },
    );
    wanted = spec.mounts!.map(({ destination }) => destination);
  };
  const script = "cut -d' ' -f5 /proc/self/mountinfo";
  const { output, failure } = await sh(image, script, { userns, change, input: { mountsInOrder: true } });
  expect(failure).toBeNull();
  const all = output.trim().split("\n");
  const listed = all.filter((path, i) => wanted.includes(path) && all.indexOf(path) === i);
  expect(listed).toEqual(wanted);
});

describe.each([
  ["with", true],
  ["without", false],
])("%s a user namespace", (_, userns) => {
  const run = (script: string, ...more: Mount[]) => sh(image, script, { userns, change: mounts(...more) });

  test("a relative destination starts at the root; values of a bind mount's options are left out", async () => {
    const mount = { destination: "data", source: `${host}/dir`, options: ["bind", "ro", "mode=755"] };
    const { output, failure } = await run("touch /data/x; ls -d /data", mount);
    expect(failure).toBeNull();
    expect(output).toContain("Read-only file system");
    expect(output).toContain("/data\n");
  });

  test("a remount changes what is mounted", async () => {
    const { output, failure } = await run(
      "touch /t/x; grep -c ' /t .*nosuid' /proc/self/mountinfo",
      { destination: "/t", type: "tmpfs" },
      { destination: "/t", type: "tmpfs", options: ["remount", "ro", "nosuid"] },
    );
    expect(failure).toBeNull();
    expect(output).toContain("Read-only file system");
    expect(output).toContain("1\n");
  });

  test("a remount where nothing is mounted fails", async () => {
    const { failure } = await run("true", { destination: "/tmp", type: "tmpfs", options: ["remount", "ro"] });
    expect(failure).toBe("child mountSetattr EINVAL: change the mount on /tmp");
  });

  test("a source that is a link is followed, made anew, or mounted itself", async () => {
    const link = (destination: string, ...options: string[]) => ({
      destination,
      source: `${host}/link`,
      options: ["bind", ...options],
    });
    const { output, failure } = await run(
      "cat /followed; readlink /anew; stat -c %F /anew /itself; readlink /itself",
      link("/followed"),
      link("/anew", "copy-symlink"),
      link("/itself", "src-nofollow"),
    );
    expect(failure).toBeNull();
    expect(output).toBe("content\nfile\nsymbolic link\nsymbolic link\nfile\n");
  });

  test("a link in the image is mounted over where dest-nofollow asks for it", async () => {
    symlinkSync("/tmp", `${image}/place-${userns}`);
    const mount = { destination: `/place-${userns}`, source: `${host}/file`, options: ["bind", "dest-nofollow"] };
    const { output, failure } = await run(`cat /place-${userns}; ls /tmp`, mount);
    expect(failure).toBeNull();
    expect(output).toBe("content\n");
  });

  test("/dev and its terminals belong to groups of the container", async () => {
    const change = (spec: Spec) => {
      const dev = spec.mounts?.find(({ destination }) => destination === "/dev");
      dev?.options?.push("gid=5");
    };
    const { output, failure } = await sh(image, "stat -c '%g' /dev; stat -c '%g' /dev/pts/ptmx /dev/null", { userns, change });
    expect(failure).toBeNull();
    expect(output).toBe("5\n0\n0\n");
  });

  test("the host's procfs may be bound on /proc", async () => {
    const change = (spec: Spec) => {
      const proc = spec.mounts!.findIndex(({ destination }) => destination === "/proc");
      spec.mounts![proc] = { destination: "/proc", source: "/proc", options: ["rbind"] };
      spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "pid");
    };
    const { output, failure } = await sh(image, "cat /proc/self/comm; wc -c < /proc/timer_list", { userns, change });
    expect(failure).toBeNull();
    expect(output).toBe("cat\n0\n");
  });

  test("the root's propagation is set for all mounts below it", async () => {
    const change = (spec: Spec) => {
      spec.linux!.rootfsPropagation = "rshared";
    };
    const script = "grep -vc shared: /proc/self/mountinfo; grep ' /proc ' /proc/self/mountinfo | grep -c shared:";
    const { output, failure } = await sh(image, script, { userns, change });
    expect(failure).toBeNull();
    expect(output).toBe("0\n1\n");
  });
});

test("a group that the user namespace does not map is named before anything is made", async () => {
  const change = (spec: Spec) => {
    spec.linux!.gidMappings = [{ containerID: 0, hostID: 100_000, size: 5 }];
  };
  await expect(sh(image, "true", { userns: true, change })).rejects.toThrow(
    /^mounts\[\d\]\.options: gid=5: group id 5 is not mapped in the container's user namespace/,
  );
});

test.skipIf(facts.cgroup === "v2")("cgroups are read-only or not as the mount says, in each hierarchy", async () => {
  const change = (spec: Spec) => {
    const cgroup = spec.mounts!.find(({ type }) => type === "cgroup")!;
    cgroup.options = cgroup.options!.filter((option) => option !== "ro");
  };
  const script =
    "mkdir /sys/fs/cgroup/pids/sub && echo made; grep -c ' - cgroup ' /proc/self/mountinfo; cat /sys/fs/cgroup/pids/cgroup.procs | wc -l";
  const { output, failure } = await sh(image, script, { userns: false, change });
  expect(failure).toBeNull();
  expect(output).toMatch(/^made\n\d+\n[23]\n$/);
});
