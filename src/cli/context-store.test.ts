import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { ContextStore, metaOf, parseMeta, selectEngine } from "./context-store.ts";

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

test("what is meant: flags, then variables, then what is in use", () => {
  const build = { context: "build", endpoint: { kind: "ssh", host: "build" } } as const;
  const own = { context: "default", endpoint: { kind: "local" } } as const;
  const other = { context: "default", endpoint: { kind: "ssh", host: "other" } } as const;
  const asked: [Parameters<typeof selectEngine>[0], Record<string, string>, unknown][] = [
    [{}, {}, build],
    [{}, { ONGGI_RUN: "/x" }, own],
    [{}, { ONGGI_CONTEXT: "default" }, own],
    [{}, { ONGGI_CONTEXT: "build", ONGGI_ROOT: "/x" }, build],
    [{}, { ONGGI_HOST: "ssh://other", ONGGI_CONTEXT: "build" }, other],
    [{ context: "build" }, { ONGGI_HOST: "ssh://other" }, build],
    [{ run: "/x" }, { ONGGI_HOST: "ssh://other" }, own],
    [{ host: "ssh://other" }, { ONGGI_CONTEXT: "build" }, other],
  ];
  for (const [flags, more, found] of asked) expect(selectEngine(flags, { ...env, ...more })).toEqual(found as never);
  expect(() => selectEngine({ host: "ssh://a", context: "build" }, env)).toThrow("cannot specify both --host and --context");
  expect(() => selectEngine({ root: "/x", context: "build" }, env)).toThrow("--root and --run are of an engine of this host");
  expect(() => selectEngine({ context: "gone" }, env)).toThrow('context "gone": not found');
  expect(selectEngine({}, {})).toEqual(own);
});

test("files that are none say where and why", () => {
  writeFileSync(`${directory}/own/config.json`, "{");
  expect(() => store.current).toThrow(`${directory}/own/config.json is not JSON`);
  writeFileSync(store.pathOf("broken"), '{"Name": 1}');
  expect(() => store.get("broken")).toThrow("broken.json is no context: it has not Name and Endpoints.docker.Host");
  expect(() => parseMeta('{"Name":"x","Endpoints":{"docker":{"Host":"tcp://x:1"}}}', "f")).toThrow("ssh:// or unix://");
  expect(readFileSync(store.pathOf("build"), "utf8")).toContain('"Host": "ssh://build"');
  expect(() => new ContextStore({}).create(metaOf("ab", "ssh://x", ""))).toThrow("neither ONGGI_CONFIG_DIR nor HOME is set");
});
