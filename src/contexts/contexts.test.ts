import { expect, test } from "bun:test";
import { Contexts, metaOf, parseMeta, selectEngine } from "./contexts.ts";

/** Files by path; a code is what reading them fails with. */
const files: Readonly<Record<string, string | { readonly code: string }>> = {
  "/own/config.json": '{"currentContext": "build"}',
  "/own/contexts/build.json": JSON.stringify(metaOf("build", "ssh://build", "the fast one")),
  "/own/contexts/broken.json": '{"Name": 1}',
  "/own/contexts/half.json": "{",
  "/own/contexts/tcp.json": JSON.stringify(metaOf("tcp", "tcp://x:1", "")),
  "/own/contexts/closed.json": { code: "EACCES" },
  "/half/config.json": "{",
  "/closed/config.json": { code: "EACCES" },
  "/ann/.config/onggi/config.json": '{"currentContext": "default"}',
};

function read(path: string): string {
  const found = files[path] ?? { code: "ENOENT" };
  if (typeof found === "string") return found;
  throw Object.assign(new Error(`${found.code}: told by the system`), found);
}

const env = { ONGGI_CONFIG_DIR: "/own" };

const failureOf = (read: () => unknown): [string, string] => {
  try {
    read();
  } catch (error) {
    return [(error as { code: string }).code, (error as Error).message];
  }
  throw new Error("it was to fail, and did not");
};

test("what is meant: what was asked for, then variables, then what is in use", () => {
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
  for (const [flags, more, found] of asked) expect(selectEngine(flags, { ...env, ...more }, read)).toEqual(found as never);
  for (const nothing of [{}, { HOME: "/ann" }, { HOME: "/ben" }, { HOME: "/ben", XDG_CONFIG_HOME: "/x" }])
    expect(selectEngine({}, nothing, read)).toEqual(own);
});

test("names that are none, files that are none or cannot be read say so, where and why", () => {
  const contexts = new Contexts(env, read);
  expect(contexts.get("build")).toEqual(metaOf("build", "ssh://build", "the fast one"));
  for (const name of ["gone", "../own/config", "a", ""])
    expect(failureOf(() => contexts.get(name))).toEqual([
      "context_not_found",
      `context ${JSON.stringify(name)}: not found; see onggi context ls`,
    ]);
  expect(failureOf(() => new Contexts({}, read).get("build"))[0]).toBe("context_not_found");
  const told: [string, string, string][] = [
    ["broken", "contexts_invalid", "/own/contexts/broken.json is no context: it has not Name and Endpoints.docker.Host"],
    ["half", "contexts_invalid", "/own/contexts/half.json is not JSON"],
    ["closed", "contexts_invalid", "/own/contexts/closed.json cannot be read: EACCES"],
    ["tcp", "invalid_endpoint", "/own/contexts/tcp.json: tcp://x:1: on TCP an engine serves Docker's clients only"],
  ];
  for (const [name, code, message] of told)
    expect(failureOf(() => selectEngine({ context: name }, env, read))).toEqual([code, expect.stringContaining(message)]);
  for (const [place, why] of [
    ["/half", "is not JSON"],
    ["/closed", "cannot be read: EACCES"],
  ] as const)
    expect(failureOf(() => selectEngine({}, { ONGGI_CONFIG_DIR: place }, read))).toEqual([
      "contexts_invalid",
      expect.stringContaining(`${place}/config.json ${why}`),
    ]);
  expect(() => parseMeta('{"Name":"x","Endpoints":{"docker":{"Host":"nothing"}}}', "f")).toThrow("f: ");
});
