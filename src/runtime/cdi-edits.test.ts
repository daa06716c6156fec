import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { facts } from "../../test/runtime/plans.ts";
import type { CdiEdits } from "../oci/cdi.ts";
import { applyCdi, type CdiHost } from "./cdi-edits.ts";
import { specFromRequest } from "./request.ts";

const host: CdiHost = {
  nodeAt: (path) => (path === "/dev/null" ? { type: "c", major: 1, minor: 3, fileMode: 0o666 } : undefined),
  canIdMap: (path) => path !== "/sys/x",
};
const base = (idMap: { hostId: number; size: number } | null = null, uid = 0) =>
  specFromRequest({
    request: { image: "i", env: ["A=own", "B=own"] },
    image: {},
    id: "abc",
    hostname: "jar",
    args: ["sh"],
    user: { uid, gid: uid, additionalGids: [], home: "/" },
    facts: { ...facts, lastCap: 40 },
    cgroupPath: "/onggi/abc",
    idMap,
  });
const apply = (edits: CdiEdits, spec = base()) => applyCdi(spec, [{ path: "/etc/cdi/v.json", edits }], host);

describe("edits", () => {
  test("of none leave the specification as it is", () => {
    expect(applyCdi(base(), [], host)).toEqual({ ...base(), hooks: {} });
  });

  test("env: the last of a name counts", () => {
    const env = apply({ env: ["A=cdi", "C=1", "C=2"] }).process?.env;
    expect(env?.filter((pair) => /^[ABC]=/.test(pair))).toEqual(["A=cdi", "B=own", "C=2"]);
  });

  test("deviceNodes: numbers that are not said are the host's, and the cgroup lets them be used", () => {
    const { linux } = apply({
      deviceNodes: [
        { path: "/dev/a", hostPath: "/dev/null" },
        { path: "/dev/b", type: "b", major: 8, minor: 1, permissions: "r", fileMode: 0o100640, uid: 1, gid: 2 },
        { path: "/dev/b", type: "c", major: 9, permissions: "none" },
      ],
    });
    expect(linux?.devices).toEqual([
      { path: "/dev/a", type: "c", major: 1, minor: 3, fileMode: 0o666, uid: 0, gid: 0 },
      { path: "/dev/b", type: "c", major: 9, minor: 0, uid: 0, gid: 0 },
    ]);
    expect(linux?.resources?.devices?.slice(-2)).toEqual([
      { allow: true, type: "c", major: 1, minor: 3, access: "rwm" },
      { allow: true, type: "b", major: 8, minor: 1, access: "r" },
    ]);
  });

  test("deviceNodes: they belong to the container's user where nothing else is said", () => {
    expect(apply({ deviceNodes: [{ path: "/dev/null" }] }, base(null, 7)).linux?.devices?.[0]).toMatchObject({ uid: 7, gid: 7 });
  });

  test("deviceNodes: one that is not there, or another, is said with its file", () => {
    expect(() => apply({ deviceNodes: [{ path: "/dev/no" }] })).toThrow(
      "CDI: /etc/cdi/v.json names the device /dev/no: there is none",
    );
    expect(() => apply({ deviceNodes: [{ path: "/dev/null", type: "b" }] })).toThrow("/dev/null is of type c on the host, not b");
  });

  test("mounts: in place of what is there, shallow ones first, with the container's ids where that can be", () => {
    const mounts = [
      { hostPath: "/a", containerPath: "/dev/shm/", options: ["ro", "bind"] },
      { hostPath: "/b", containerPath: "/x" },
      { hostPath: "/sys/x", containerPath: "/y", options: ["rbind"] },
      { hostPath: "t", containerPath: "/z/t", type: "tmpfs" },
    ];
    const at = (place: string, idMap: { hostId: number; size: number } | null) =>
      apply({ mounts }, base(idMap)).mounts?.filter(({ destination }) => destination === place);
    const shm = { destination: "/dev/shm", source: "/a", type: "bind" };
    expect(at("/dev/shm", null)).toEqual([{ ...shm, options: ["ro", "bind"] }]);
    expect(at("/dev/shm", { hostId: 100_000, size: 65_536 })).toEqual([{ ...shm, options: ["ro", "bind", "idmap"] }]);
    expect(at("/x", null)?.[0]?.options).toEqual(["rbind"]);
    expect(at("/y", { hostId: 100_000, size: 65_536 })?.[0]?.options).toEqual(["rbind"]);
    expect(at("/z/t", null)).toEqual([{ destination: "/z/t", source: "t", type: "tmpfs", options: [] }]);
    const places = apply({ mounts }).mounts!.map(({ destination }) => destination);
    expect(places.indexOf("/x")).toBeLessThan(places.indexOf("/dev/shm"));
  });

  test("hooks go to their kind, and do not take for ever", () => {
    const hooks = [
      { hookName: "createContainer" as const, path: "/a", args: ["a"] },
      { hookName: "createContainer" as const, path: "/b", timeout: 3 },
    ];
    expect(apply({ hooks }).hooks).toEqual({
      createContainer: [
        { path: "/a", args: ["a"], timeout: 60 },
        { path: "/b", timeout: 3 },
      ],
    });
  });

  test("groups, cache and network devices", () => {
    const edits = {
      additionalGids: [5, 0, 5, 6],
      intelRdt: { closID: "c" },
      netDevices: [{ hostInterfaceName: "eth1", name: "net1" }],
    };
    const { process, linux } = apply(edits);
    expect(process?.user?.additionalGids).toEqual([5, 6]);
    expect(linux).toMatchObject({ intelRdt: { closID: "c" }, netDevices: { eth1: { name: "net1" } } });
  });

  test("a group that the container has no id for is refused", () => {
    expect(() => apply({ additionalGids: [70_000] }, base({ hostId: 100_000, size: 65_536 }))).toThrow(
      "group id 70000 is not mapped",
    );
  });

  test("of any device there is one, whatever order the edits come in", () => {
    const node = fc.record({
      path: fc.constantFrom("/dev/a", "/dev//a", "/dev/./a", "/dev/c"),
      hostPath: fc.constant("/dev/null"),
    });
    fc.assert(
      fc.property(
        fc.array(fc.record({ deviceNodes: fc.array(node), env: fc.array(fc.constantFrom("A=1", "B=2", "C=3")) })),
        (all) => {
          const spec = applyCdi(
            base(),
            all.map((edits) => ({ path: "f", edits })),
            host,
          );
          const places = spec.linux!.devices!.map(({ path }) => path.replace("//", "/").replace("./", ""));
          expect(new Set(places).size).toBe(places.length);
          const names = spec.process!.env!.map((pair) => pair.split("=")[0]);
          expect(new Set(names).size).toBe(names.length);
        },
      ),
    );
  });
});
