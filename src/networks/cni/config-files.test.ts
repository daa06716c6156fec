import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findConfig, readConfigs } from "./config-files.ts";

const base = mkdtempSync(join(tmpdir(), "onggi-cni-"));
let directory = base;
beforeEach(() => {
  directory = mkdtempSync(join(base, "net.d-"));
});
afterAll(() => rmSync(base, { recursive: true }));

const put = (name: string, content: object | string): void => {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
};
const plugin = (type: string) => ({ type });
const list = (name: string, ...types: string[]) => ({ cniVersion: "1.0.0", name, plugins: types.map(plugin) });
const found = () =>
  readConfigs(directory).networks.map(({ path, network }) => [
    path.slice(directory.length + 1),
    network.name,
    network.plugins[0]!.type,
  ]);

test("lists before single plugins, by the files' names; the first of a name counts", () => {
  put("20-b.conflist", list("b", "second"));
  put("10-a.conflist", list("a", "first"));
  put("30-a.conflist", list("a", "hidden"));
  put("05-c.conf", { name: "c", type: "third" });
  put("06-b.json", { name: "b", type: "hidden" });
  put("README", "no network");
  put("x.conflist.bak", "{");
  mkdirSync(join(directory, "d.conflist"));
  expect(found()).toEqual([
    ["10-a.conflist", "a", "first"],
    ["20-b.conflist", "b", "second"],
    ["05-c.conf", "c", "third"],
  ]);
});

test("plugins of the folder beside a list", () => {
  put("web.conflist", list("web", "bridge"));
  put("web/20-tuning.conf", plugin("tuning"));
  put("web/10-portmap.conf", plugin("portmap"));
  put("web/30-x.conflist", "{");
  put("own.conflist", { ...list("own", "bridge"), loadOnlyInlinedPlugins: true });
  put("own/10-portmap.conf", plugin("portmap"));
  put("folder.conflist", { cniVersion: "1.1.0", name: "folder" });
  put("folder/a.conf", plugin("bridge"));
  put("empty.conflist", { cniVersion: "1.1.0", name: "empty" });
  const types = Object.fromEntries(
    readConfigs(directory).networks.map(({ network }) => [network.name, network.plugins.map(({ type }) => type)]),
  );
  expect(types).toEqual({ web: ["bridge", "portmap", "tuning"], own: ["bridge"], folder: ["bridge"] });
  expect(readConfigs(directory).broken).toMatchObject([
    { path: join(directory, "empty.conflist"), reason: expect.stringContaining("no plugins") },
  ]);
});

test("what is no network does not keep the others, and is told to who does not find his", () => {
  put("10-bad.conflist", "{");
  put("15-large.conflist", `${" ".repeat(1024 * 1024)}{}`);
  put("20-web.conflist", list("web", "bridge"));
  put("30-folder.conflist", list("folder", "bridge"));
  put("folder/a.conf", "[]");
  expect(findConfig(directory, "web").network.plugins).toHaveLength(1);
  expect(() => findConfig(directory, "db")).toThrow(
    /no CNI network "db" in .*: there are web; .*10-bad.conflist is left out: not JSON.*; .*15-large.*at most 1048576.*; .*folder\/a.conf: not a JSON object/,
  );
});

test("no directory is no network", () => {
  expect(readConfigs(join(directory, "none"))).toEqual({ networks: [], broken: [] });
  expect(() => findConfig(join(directory, "none"), "web")).toThrow("there is none");
});
