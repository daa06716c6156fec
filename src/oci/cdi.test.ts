import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type CdiFile, type CdiSpec, catalogue, editsOf, isCdiName, readCdiSpec } from "./cdi.ts";
import { InvalidSpec } from "./schema.ts";

const edits = { env: ["A=b"] };
const least = { cdiVersion: "0.6.0", kind: "vendor.com/class", devices: [{ name: "one", containerEdits: edits }] };
const withEdits = (containerEdits: object, more: object = {}) => ({ ...least, ...more, containerEdits });

describe("a name", () => {
  test.each(["vendor.com/class=name", "v/c=0", "nvidia.com/gpu=GPU-1:2.3_x", "a_b/c-d.e=all"])("%s is one", (name) => {
    expect(isCdiName(name)).toBe(true);
  });
  test.each([
    "/dev/null",
    "vendor.com/class",
    "vendor.com/=a",
    "1v/c=a",
    "v/c=",
    "v/c=a:",
    "v./c=a",
    "v/c/d=a",
    "v/c=a b",
    "v/c=a\n",
    "",
  ])("%j is none", (name) => {
    expect(isCdiName(name)).toBe(false);
  });
});

describe("a file", () => {
  test("with everything is read as it is", () => {
    const all = {
      env: ["A=b", "C="],
      deviceNodes: [
        {
          path: "/dev/x",
          hostPath: "/dev/null",
          type: "c",
          major: 1,
          minor: 3,
          fileMode: 0o660,
          permissions: "rw",
          uid: 0,
          gid: 5,
        },
      ],
      netDevices: [{ hostInterfaceName: "eth1", name: "net1" }],
      mounts: [{ hostPath: "/lib/x", containerPath: "/lib/x", type: "bind", options: ["ro"] }],
      hooks: [{ hookName: "createContainer", path: "/bin/hook", args: ["hook", "a"], env: ["A=b"], timeout: 3 }],
      additionalGids: [44],
      intelRdt: { closID: "c", l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=70", schemata: ["L3:0=f"], enableMonitoring: true },
    };
    const file = { ...least, cdiVersion: "v1.1.0", annotations: { a: "b" }, containerEdits: all };
    expect(readCdiSpec(file)).toEqual(file as CdiSpec);
  });

  test("may have its members in any case, and null for none", () => {
    const file = {
      CDIVersion: "0.7.0",
      kind: "v/c",
      devices: [{ Name: "a", containeredits: { additionalGIDs: [1], env: null } }],
    };
    expect(readCdiSpec(file)).toEqual({
      cdiVersion: "0.7.0",
      kind: "v/c",
      devices: [{ name: "a", containerEdits: { additionalGids: [1] } }],
    });
  });

  test("of plain text has its numbers as YAML has them", () => {
    const node = { path: "/dev/x", type: "c", major: "0x1", minor: "3", fileMode: "0660", uid: "0", gid: "~" };
    const file = { ...least, devices: [{ name: "0", containerEdits: { deviceNodes: [node], mounts: "" } }] };
    expect(readCdiSpec(file, true).devices[0]).toEqual({
      name: "0",
      containerEdits: { deviceNodes: [{ path: "/dev/x", type: "c", major: 1, minor: 3, fileMode: 0o660, uid: 0 }] },
    });
    const json = { ...least, devices: [{ name: "0", containerEdits: { deviceNodes: [node] } }] };
    expect(() => readCdiSpec(json)).toThrow("devices[0].containerEdits.deviceNodes[0].major: want a whole number");
  });

  const faults: [unknown, string][] = [
    [null, "want an object, got null"],
    [
      { ...least, cdiVersion: "2.0.0" },
      'cdiVersion: want one of 0.1.0, 0.2.0, 0.3.0, 0.4.0, 0.5.0, 0.6.0, 0.7.0, 0.8.0, 1.0.0, 1.1.0, got "2.0.0"',
    ],
    [{ ...least, kind: "gpu" }, 'kind: want "vendor.com/class", got "gpu"'],
    [{ ...least, devices: [] }, "devices: want at least 1 entry, got 0"],
    [
      { ...least, devices: [{ name: "a:", containerEdits: edits }] },
      "devices[0].name: want a name of letters, digits and _ - . :",
    ],
    [{ ...least, devices: [...least.devices, ...least.devices] }, 'devices[1].name: "one" is there twice'],
    [{ ...least, devices: [{ name: "a", containerEdits: {} }] }, "devices[0].containerEdits: says nothing"],
    [{ ...least, device: [] }, 'has no member "device"; there are cdiVersion, kind, devices'],
    [withEdits({ hook: [] }), 'containerEdits: has no member "hook"'],
    [withEdits({ env: ["A"] }), 'containerEdits.env[0]: want NAME=VALUE, got "A"'],
    [withEdits({ deviceNodes: [{}] }), "containerEdits.deviceNodes[0].path: is missing"],
    [withEdits({ deviceNodes: [{ path: "/dev/a", permissions: "x" }] }), "deviceNodes[0].permissions: want letters"],
    [withEdits({ hooks: [{ hookName: "start", path: "/a" }] }), "containerEdits.hooks[0].hookName: want one of prestart"],
    [withEdits({ mounts: [{ hostPath: "/a" }] }), "containerEdits.mounts[0].containerPath: is missing"],
    [withEdits({ additionalGids: [1] }), "cdiVersion: must be at least 0.7.0 for additionalGids, is 0.6.0"],
    [withEdits({ netDevices: [{ hostInterfaceName: "a", name: "b" }] }), "cdiVersion: must be at least 1.1.0 for netDevices"],
    [
      withEdits({ mounts: [{ hostPath: "/a", containerPath: "/b", type: "bind" }] }, { cdiVersion: "0.3.0" }),
      "at least 0.4.0 for mounts.type",
    ],
    [{ ...least, cdiVersion: "0.4.0", devices: [{ name: "0", containerEdits: edits }] }, "at least 0.5.0 for a device's name"],
    [{ ...least, cdiVersion: "0.5.0", kind: "v/c.d" }, "at least 0.6.0 for a class with a dot"],
    [{ ...least, cdiVersion: "0.5.0", annotations: {} }, "at least 0.6.0 for annotations"],
  ];
  test.each(faults)("%j is refused", (value, message) => {
    expect(() => readCdiSpec(value)).toThrow(message);
  });

  test("of garbage is read or refused, and what is read is read again as the same", () => {
    const word = fc.oneof(fc.constantFrom("1.1.0", "v/c", "a", "A=b", "/dev/x", "c", "rwm", "prestart", "0x7"), fc.string());
    const member = fc.oneof(
      fc.constantFrom(
        "cdiVersion",
        "kind",
        "devices",
        "name",
        "containerEdits",
        "env",
        "deviceNodes",
        "path",
        "hooks",
        "hookName",
      ),
      fc.string(),
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 6 },
        word,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(member, tie("tree"), { maxKeys: 6 }),
      ),
    }));
    const near = fc.record({
      cdiVersion: word,
      kind: word,
      devices: fc.array(fc.record({ name: word, containerEdits: tree })),
      containerEdits: tree,
    });
    fc.assert(
      fc.property(fc.oneof(tree, near), fc.boolean(), (value, plain) => {
        let read: CdiSpec;
        try {
          read = readCdiSpec(value, plain);
        } catch (error) {
          expect(error).toBeInstanceOf(InvalidSpec);
          return;
        }
        expect(readCdiSpec(JSON.parse(JSON.stringify(read)))).toEqual(read);
      }),
    );
  });
});

describe("several files", () => {
  const file = (path: string, priority: number, names: string[], all?: object): CdiFile => ({
    path,
    priority,
    spec: {
      cdiVersion: "0.6.0",
      kind: "v/c",
      devices: names.map((name) => ({ name, containerEdits: { env: [`FROM=${path}`] } })),
      ...(all ? { containerEdits: all } : {}),
    },
  });

  test("the directory of the higher priority counts, whatever the order", () => {
    const files = [file("/low", 0, ["a", "b"]), file("/high", 1, ["b"])];
    for (const order of [files, files.toReversed()]) {
      const { devices, conflicts } = catalogue(order);
      expect([...devices].map(([name, device]) => [name, device.file.path])).toEqual([
        ["v/c=a", "/low"],
        ["v/c=b", "/high"],
      ]);
      expect(conflicts.size).toBe(0);
    }
  });

  test("what two of one directory give is nobody's, until one of higher priority gives it", () => {
    const twice = [file("/1", 0, ["a", "b"]), file("/2", 0, ["a"])];
    expect([...catalogue(twice).conflicts]).toEqual([["v/c=a", ["/1", "/2"]]]);
    expect([...catalogue(twice).devices.keys()]).toEqual(["v/c=b"]);
    expect(catalogue([...twice, file("/3", 1, ["a"])]).devices.get("v/c=a")?.file.path).toBe("/3");
  });

  test("what a file gives everybody comes once, before its first device", () => {
    const { devices } = catalogue([file("/1", 0, ["a", "b"], { env: ["ALL=1"] }), file("/2", 0, ["c"])]);
    const chosen = ["v/c=b", "v/c=c", "v/c=a"].map((name) => devices.get(name)!);
    expect(editsOf(chosen).map(({ path, edits: { env } }) => `${path} ${env}`)).toEqual([
      "/1 ALL=1",
      "/1 FROM=/1",
      "/2 FROM=/2",
      "/1 FROM=/1",
    ]);
  });
});
