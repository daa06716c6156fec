/** No machine here has resctrl: a directory stands in for it, which takes what is written as it is. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { joinRdtGroup, makeRdtGroup, removeRdtGroup, resctrlMount, updateRdtGroup } from "./intel-rdt.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/onggi-rdt-`);
  mkdirSync(`${root}/info`);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const read = (path: string) => readFileSync(`${root}/${path}`, "utf8");
const share = { l3CacheSchema: "L3:0=f", memBwSchema: "MB:0=20", schemata: ["L2:0=3", "MB:1=30"] };

/** As the kernel does when a group is made. */
function preset(name: string, schemata: string): void {
  mkdirSync(`${root}/${name}/mon_groups`, { recursive: true });
  writeFileSync(`${root}/${name}/schemata`, schemata);
}

test("resctrl is where mountinfo says", () => {
  const text = "30 25 0:26 / /sys rw - sysfs sysfs rw\n31 30 0:27 / /sys/fs/resctrl rw shared:9 - resctrl resctrl rw\n";
  expect(resctrlMount(text)).toBe("/sys/fs/resctrl");
  expect(() => resctrlMount("30 25 0:26 / /resctrl rw - sysfs sysfs rw\n")).toThrow("linux.intelRdt: no resctrl file system is");
});

describe("a group of the container's own", () => {
  test("is named by it, limited in order, and removed with it", () => {
    const group = makeRdtGroup(share, "c1", root);
    expect(group).toEqual({ path: `${root}/c1`, own: true });
    expect(read("c1/schemata")).toBe("L3:0=f\nMB:0=20\nL2:0=3\nMB:1=30\n");
    joinRdtGroup(group, 42, root);
    expect(read("c1/tasks")).toBe("42");
    updateRdtGroup(group, { l3CacheSchema: "L3:0=1" }, root);
    expect(read("c1/schemata")).toBe("L3:0=1\n");
    for (const file of ["schemata", "tasks"]) rmSync(`${root}/c1/${file}`);
    removeRdtGroup(group);
    removeRdtGroup(group);
    expect(existsSync(`${root}/c1`)).toBe(false);
  });

  test("must not be there before", () => {
    preset("c1", "");
    expect(() => makeRdtGroup(share, "c1", root)).toThrow(`linux.intelRdt: ${root}/c1 exists already`);
  });

  test("that cannot be made leaves nothing behind, and says why", () => {
    writeFileSync(`${root}/info/last_cmd_status`, "out of CLOSIDs\n");
    expect(() => makeRdtGroup({ ...share, enableMonitoring: true }, "a/b", root)).toThrow(/ENOENT.*\(out of CLOSIDs\)/);
    // no mon_groups in a plain directory
    expect(() => makeRdtGroup({ enableMonitoring: true }, "c1", root)).toThrow(/ENOENT/);
    expect(existsSync(`${root}/c1`)).toBe(false);
  });
});

describe("a group with a closID", () => {
  test("is joined as it is and stays; its monitoring group goes", () => {
    preset("gold", "    L3:0=0f;1=1F\n    MB:0= 20\n");
    const group = makeRdtGroup({ closID: "gold", l3CacheSchema: "L3:1=1f;0=f", enableMonitoring: true }, "c1", root);
    expect(group).toEqual({ path: `${root}/gold`, own: false, monitoring: `${root}/gold/mon_groups/c1` });
    expect(() => updateRdtGroup(group, share, root)).toThrow(`linux.intelRdt.closID: the group ${root}/gold is not`);
    removeRdtGroup(group);
    expect(existsSync(`${root}/gold/mon_groups/c1`)).toBe(false);
    expect(existsSync(`${root}/gold`)).toBe(true);
  });

  test("must give what is asked for", () => {
    preset("gold", "L3:0=0f\n");
    expect(() => makeRdtGroup({ closID: "gold", ...share }, "c1", root)).toThrow(
      `linux.intelRdt: ${root}/gold/schemata has nothing for MB:0, the specification wants 20`,
    );
  });

  test("is made where something says what it may use", () => {
    expect(() => makeRdtGroup({ closID: "new" }, "c1", root)).toThrow(`linux.intelRdt.closID: there is no group ${root}/new`);
    expect(makeRdtGroup({ closID: "new", ...share }, "c1", root)).toEqual({ path: `${root}/new`, own: false });
  });

  test('"/" is the root of resctrl', () => {
    expect(makeRdtGroup({ closID: "/" }, "c1", root)).toEqual({ path: `${root}/`.slice(0, -1), own: false });
  });
});
