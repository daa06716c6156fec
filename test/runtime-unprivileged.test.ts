/** Containers of a user without privileges, by the kernel. Needs root, to become that user. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chownSync, readdirSync } from "node:fs";
import type { Spec } from "../src/oci/spec.ts";
import { busybox, cleanUp, facts, type Options, sh } from "./runtime/kit.ts";

const USER = 54_321;
const unlimited = Bun.spawnSync(["setpriv", "--reuid", `${USER}`, "--clear-groups", "unshare", "--user", "true"]).success;
let image: string;
beforeAll(() => {
  image = busybox();
  for (const path of [image, ...readdirSync(image).map((name) => `${image}/${name}`)]) chownSync(path, USER, USER);
});
afterAll(cleanUp);

/** The kit's specification as a user can have it: a single id. */
const asUser = (spec: Spec): void => {
  const own = [{ containerID: 0, hostID: USER, size: 1 }];
  // the parameters name groups that are not mapped, and beside the host's network they are the host's
  Object.assign(spec.linux!, { uidMappings: own, gidMappings: own, sysctl: {} });
  for (const mount of spec.mounts!) {
    mount.options = mount.options?.filter((option) => option !== "gid=5") ?? [];
  }
};

const options = (change: (spec: Spec) => void = () => {}): Partial<Options> => ({
  as: USER,
  change: (spec) => {
    asUser(spec);
    change(spec);
  },
  input: {
    root: { kind: "directory", path: image },
    facts: { ...facts, unprivileged: true },
    cgroup: { cloneInto: null, tasks: [], oom: null },
  },
});

test.skipIf(!unlimited)("a container has devices, procfs and a terminal of its own", async () => {
  const script = `id; cat /proc/self/setgroups; echo x > /dev/null; head -c 2 /dev/zero | od -An -tx1; hostname
    ls /sys/class/net; touch /made; stat -c %u /made; rm /made; cat /proc/1/comm; ls /sys/fs/cgroup | wc -l`;
  const { output, failure } = await sh(image, script, options());
  expect(failure).toBeNull();
  expect(output).toBe("uid=0(root) gid=0\ndeny\n 00 00\njar\nlo\n0\nsh\n0\n");
});

test.skipIf(!unlimited)("a terminal", async () => {
  const { output, failure } = await sh(image, "tty; echo direct > /dev/console", { ...options(), request: { tty: true } });
  expect(failure).toBeNull();
  expect(output).toBe("/dev/pts/0\ndirect\n");
});

test.skipIf(!unlimited)("the host's /sys is shown beside the host's network", async () => {
  const change = (spec: Spec) => {
    spec.linux!.namespaces = spec.linux!.namespaces!.filter(({ type }) => type !== "network");
  };
  const { output, failure } = await sh(
    image,
    "ls -d /sys/class/net; grep -c ' /sys .* - sysfs' /proc/self/mountinfo",
    options(change),
  );
  expect(failure).toBeNull();
  expect(output).toBe("/sys/class/net\n1\n");
});
