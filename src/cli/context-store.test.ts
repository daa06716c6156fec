import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { metaOf } from "../contexts/contexts.ts";
import { ContextStore, selectEngine } from "./context-store.ts";

const directory = mkdtempSync(`${tmpdir()}/onggi-contexts-`);
afterAll(() => rmSync(directory, { recursive: true }));
const env = { ONGGI_CONFIG_DIR: `${directory}/own` };
const store = new ContextStore(env);

test("contexts are kept, for their owner alone", () => {
  expect([store.names(), store.current]).toEqual([[], "default"]);
  store.create(metaOf("build", "ssh://build", "the fast one"));
  expect(store.get("build")).toEqual(metaOf("build", "ssh://build", "the fast one"));
  expect(statSync(store.pathOf("build")).mode & 0o777).toBe(0o600);
  expect(() => store.create(metaOf("build", "ssh://x", ""))).toThrow('context "build" already exists');
  store.use("build");
  expect([store.names(), store.current]).toEqual([["build"], "build"]);
  expect(() => store.use("none")).toThrow('context "none": not found');
  for (const name of ["default", "a", "-ab", "a/b", "../ab", ""])
    expect(() => store.create(metaOf(name, "ssh://x", ""))).toThrow();
  expect(() => store.get("../own/config")).toThrow("not found");
});

test("flags that say two things are refused", () => {
  expect(selectEngine({ context: "build", host: undefined }, env).context).toBe("build");
  expect(selectEngine({ root: "/x", context: "default" }, env).endpoint).toEqual({ kind: "local" });
  expect(() => selectEngine({ host: "ssh://a", context: "build" }, env)).toThrow("cannot specify both --host and --context");
  expect(() => selectEngine({ root: "/x", context: "build" }, env)).toThrow("--root and --run are of an engine of this host");
  expect(() => selectEngine({ context: "gone" }, env)).toThrow('context "gone": not found');
});

test("files that are none say where and why", () => {
  writeFileSync(`${directory}/own/config.json`, "{");
  expect(() => store.current).toThrow(`${directory}/own/config.json is not JSON`);
  writeFileSync(store.pathOf("broken"), '{"Name": 1}');
  expect(() => store.get("broken")).toThrow("broken.json is no context: it has not Name and Endpoints.docker.Host");
  expect(readFileSync(store.pathOf("build"), "utf8")).toContain('"Host": "ssh://build"');
  expect(() => new ContextStore({}).create(metaOf("ab", "ssh://x", ""))).toThrow("neither ONGGI_CONFIG_DIR nor HOME is set");
});
