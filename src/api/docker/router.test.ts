import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Glob } from "bun";
import fc from "fast-check";
import type { Engine } from "../../engine/index.ts";
import { OnggiError } from "../../lib/errors.ts";
import { ByteSource } from "../http/source.ts";
import type { HttpAnswer, HttpRequest } from "../http/types.ts";
import { AuthorizationDenied, type Gate } from "../rights/rights.ts";
import type { Role } from "../rights/types.ts";
import { statusOfCode } from "./errors.ts";
import { openApi } from "./openapi.ts";
import { json, operation } from "./operation.ts";
import { operations } from "./operations.ts";
import * as q from "./query.ts";
import { dockerHandler } from "./router.ts";
import { flag, integer, list, map, object, text, words } from "./schema.ts";
import { withTable } from "./table.ts";

const echo = [
  operation({
    ...{ id: "Echo", tag: "System", summary: "", needs: "operate", method: "POST", path: "/things/{id}/echo", answers: {} },
    query: { all: q.bool(""), n: q.integer(""), filters: q.filters(["a"]), new: q.string("", { since: "1.40" }) },
    body: object({ Name: text(), Count: integer(), On: flag(), List: list(text()), Map: map(text()), Words: words() }),
    run: ({ path, query, body, version }) => json(200, { path, query, body, version }),
  }),
  operation({
    ...{ id: "Long", tag: "Image", summary: "", needs: "operate", method: "GET", path: "/images/{name...}/json", answers: {} },
    run: ({ path }) => json(200, path),
  }),
  operation({
    ...{
      id: "Since",
      tag: "Image",
      summary: "",
      needs: "operate",
      method: "GET",
      path: "/new",
      since: "1.30",
      until: "1.40",
      answers: {},
    },
    run: () => json(200, {}),
  }),
  operation({
    ...{ id: "Throws", tag: "Image", summary: "", needs: "operate", method: "GET", path: "/throws/{code}", answers: {} },
    run: ({ path }) => {
      if (path.code === "bug") throw new TypeError("x is undefined");
      throw new OnggiError(path.code, "no such container: web; see onggi ps -a");
    },
  }),
];

const logged: string[] = [];
let role: Role = "admin";
const gate: Gate = {
  check(_, needed, what) {
    if (role === "read" && needed !== "read") throw new AuthorizationDenied(`${what} is not for you`);
  },
};
const handler = dockerHandler({ engine: {} as Engine, operations: echo, version: "1", log: (line) => logged.push(line), gate });

function requestOf(method: string, target: string, body = "", headers: Record<string, string> = {}): HttpRequest {
  const source = new ByteSource({ pause() {}, resume() {} });
  const bytes = Buffer.from(body);
  source.push(bytes);
  source.end();
  const [path = "", query = ""] = target.split(/\?(.*)/s);
  const all = new Map(Object.entries({ host: "d", ...(body === "" ? {} : { "content-type": "application/json" }), ...headers }));
  return {
    method,
    path,
    query,
    headers: all,
    framing: bytes.length,
    body: source,
    peer: { kind: "process", uid: 0, gids: [] },
    signal: new AbortController().signal,
  };
}

async function ask(method: string, target: string, body?: string, headers?: Record<string, string>) {
  const answer: HttpAnswer = await handler(requestOf(method, target, body, headers));
  const said = String(answer.body ?? "");
  return {
    status: answer.status,
    headers: answer.headers ?? {},
    said,
    value: said.startsWith("{") ? JSON.parse(said) : undefined,
  };
}

test("what a client may not do is 403, before its body is looked at", async () => {
  role = "read";
  const { status, value } = await ask("POST", "/things/a/echo", "no JSON");
  role = "admin";
  expect([status, value]).toEqual([403, { message: "Echo is not for you" }]);
});

test("every operation says what it needs, and what reads is never a change", () => {
  for (const { id, needs, method } of operations) {
    expect(["read", "operate", "admin"]).toContain(needs);
    if (needs === "read" && id !== "ContainerWait") expect([id, /^(GET|HEAD)$/.test(method)]).toEqual([id, true]);
  }
  const ofFiles = operations.filter(({ path }) => /archive|export|attach|exec|\/get|\/create|\/build|\/load/.test(path));
  const harmless = ["ExecInspect", "ExecResize", "BuildPrune"];
  for (const { id, needs, tag } of ofFiles)
    if (tag !== "Swarm" && !harmless.includes(id)) expect([id, needs]).toEqual([id, "admin"]);
});

test("versions are negotiated", async () => {
  expect((await ask("GET", "/images/a/json")).headers["Api-Version"]).toBe("1.54");
  expect((await ask("POST", "/v1.24/things/a/echo", "{}")).value.version).toBe("1.24");
  expect((await ask("POST", "/v1.41/things/a/echo", "{}")).value.version).toBe("1.41");
  const high = await ask("GET", "/v1.99/images/a/json");
  expect(high.status).toBe(400);
  expect(high.value.message).toBe("client version 1.99 is too new. Maximum supported API version is 1.54");
  const low = await ask("GET", "/v1.23/images/a/json");
  expect(low.status).toBe(400);
  expect(low.headers["Content-Type"]).toStartWith("text/plain");
  expect(low.said).toContain("client version 1.23 is too old");
  for (const bad of ["/v1/images/a/json", "/v1.2.3/images/a/json", "/v./images/a/json", "/v2.0/images/a/json"])
    expect((await ask("GET", bad)).status).toBe(400);
  expect((await ask("GET", "/v1.29/new")).status).toBe(404);
  expect((await ask("GET", "/v1.30/new")).status).toBe(200);
  expect((await ask("GET", "/v1.40/new")).status).toBe(404);
});

test("paths are found by method, and names are decoded", async () => {
  expect((await ask("GET", "/images/docker.io/library/a%20b:c/json")).value).toEqual({ name: "docker.io/library/a b:c" });
  for (const [method, path] of [
    ["GET", "/nothing"],
    ["GET", "/things/a/echo"],
    ["POST", "/things/a/b/echo"],
    ["GET", "/images//json"],
    ["DELETE", "/images/a/json"],
    ["GET", "/"],
  ] as const)
    expect([path, await ask(method, path)]).toEqual([
      path,
      expect.objectContaining({ status: 404, value: { message: "page not found" } }),
    ]);
  expect((await ask("GET", "/images/%zz/json")).status).toBe(400);
});

test("parameters are read as dockerd reads them", async () => {
  const queryOf = async (query: string, version = "1.41") =>
    (await ask("POST", `/v${version}/things/a/echo?${query}`, "{}")).value.query;
  for (const on of ["1", "true", "True", "yes", "on"]) expect((await queryOf(`all=${on}`)).all).toBe(true);
  for (const off of ["0", "false", "False", "no", "none", "", "+"]) expect((await queryOf(`all=${off}`)).all).toBe(false);
  expect(await queryOf("n=-12&new=a%20b")).toMatchObject({ n: -12, new: "a b" });
  expect((await queryOf("new=a", "1.39")).new).toBeUndefined();
  const filters = (value: unknown) => queryOf(`filters=${encodeURIComponent(JSON.stringify(value))}`);
  expect((await filters({ a: ["b", "c"] })).filters).toEqual({ a: ["b", "c"] });
  expect((await filters({ a: { b: true, c: false } })).filters).toEqual({ a: ["b"] });
  for (const bad of [
    "n=x",
    "n=1.5",
    "filters={",
    "filters=[]",
    'filters={"a":1}',
    'filters={"a":["b"],"c":{"d":true}}',
    "new=%zz",
  ])
    expect([bad, (await ask("POST", `/things/a/echo?${bad}`, "{}")).status]).toEqual([bad, 400]);
});

test("bodies are read as Go reads them", async () => {
  const bodyOf = async (value: unknown) => (await ask("POST", "/things/a/echo", JSON.stringify(value))).value.body;
  expect(await bodyOf({ name: "a", COUNT: 1, Other: {}, List: null, Words: "a b" })).toEqual({
    Name: "a",
    Count: 1,
    Words: ["a b"],
  });
  for (const bad of [
    { Name: 1 },
    { Count: "1" },
    { Count: 1.5 },
    { Count: 1e300 },
    { On: 1 },
    { List: "a" },
    { List: [1] },
    { Map: [] },
    [],
    1,
    null,
  ]) {
    const answer = await ask("POST", "/things/a/echo", JSON.stringify(bad));
    expect([bad, answer.status, typeof answer.value.message]).toEqual([bad, 400, "string"]);
  }
  expect((await ask("POST", "/things/a/echo", "{")).value.message).toStartWith("invalid JSON: ");
  expect((await ask("POST", "/things/a/echo", "{} {}")).status).toBe(400);
  expect((await ask("POST", "/things/a/echo", "[".repeat(1_000_000))).status).toBe(400);
  expect((await ask("POST", "/things/a/echo")).status).toBe(400);
  expect((await ask("POST", "/things/a/echo", "{}", { "content-type": "text/plain" })).value.message).toContain(
    "must be 'application/json'",
  );
  expect((await ask("POST", "/things/a/echo", "{}", { "content-type": "application/json; charset=utf-8" })).status).toBe(200);
});

test("a key that JavaScript has a meaning for is a key like any other", async () => {
  const { value } = await ask(
    "POST",
    "/things/a/echo",
    '{"__proto__": {"Name": 1}, "Map": {"__proto__": "x", "constructor": "y"}}',
  );
  expect(Object.entries(value.body.Map)).toEqual([
    ["__proto__", "x"],
    ["constructor", "y"],
  ]);
});

test("whatever the body is, the answer is one of Docker's", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async (body) => {
      const { status, said } = await ask("POST", "/things/a/echo", body, { "content-type": "application/json" });
      expect([200, 400]).toContain(status);
      if (status === 400) expect(typeof JSON.parse(said).message).toBe("string");
    }),
  );
});

test("conditions become Docker's statuses; what nobody has foreseen is 500 and logged", async () => {
  expect(await ask("GET", "/throws/container_not_found")).toMatchObject({
    status: 404,
    value: { message: "No such container: web" },
  });
  expect((await ask("GET", "/throws/name_in_use")).status).toBe(409);
  expect((await ask("GET", "/throws/start_failed")).status).toBe(500);
  expect(await ask("GET", "/throws/bug")).toMatchObject({ status: 500, value: { message: "x is undefined" } });
  expect(logged.at(-1)).toContain("/throws/bug");
});

/** What is wrong with the engine or its host, or no answer of an engine at all: 500. */
const internal = new Set(
  `attachment_broken encryption_unavailable guest_collect_failed bootstrap_failed bootstrap_tool_missing bpf_missing broken cgroup_busy cgroup_controller_missing
  cgroup_create_failed cgroup_freeze_timeout cgroup_kill_timeout cgroup_limit_refused cgroup_not_found cgroup_remove_failed
  cgroup_unavailable database_too_new dbus_protocol dbus_timeout dbus_unavailable digest_mismatch exit_record_damaged
  file_unreadable front_gone front_protocol hook_failed ids_exhausted image_mount_failed intel_rdt invalid_cgroup_driver kernel_too_old
  manifest_list_too_large network_failed no_front plan_too_big policy_invalid port_in_use referrers_contended referrers_too_many
  registry_answer_invalid registry_config_invalid registry_error registry_unreachable runtime_failed runtime_timeout
  seccomp_library_missing setup_failed shim_gone shim_missing shim_protocol shim_refused signature_contended start_failed
  store_damaged store_version systemd_job_failed volume_failed volume_mount_failed dbus_call_failed engine_elsewhere engine_running
  copy_failed kill_timeout`.split(/\s+/),
);

test("every code of the engine has been thought about", () => {
  const unknown = new Set<string>();
  for (const folder of ["engine", "images", "networks", "volumes", "runtime", "native", "archive"]) {
    for (const file of new Glob("**/*.ts").scanSync(`${import.meta.dir}/../../${folder}`)) {
      if (file.endsWith(".test.ts")) continue;
      const source = readFileSync(`${import.meta.dir}/../../${folder}/${file}`, "utf8");
      for (const [, code = ""] of source.matchAll(/new (?:Onggi|Network|Volume)Error\(\s*"([a-z_]+)"/g))
        if (statusOfCode(code) === undefined && !internal.has(code)) unknown.add(code);
    }
  }
  expect([...unknown]).toEqual([]);
});

test("operations have names of their own, and the document names each", () => {
  const ids = operations.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  const document = openApi(operations, "1") as { paths: Record<string, Record<string, { operationId: string }>> };
  const named = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(named.sort()).toEqual(ids.sort());
});

test("docs/api.md lists what is served (bun scripts/generate-api.ts)", () => {
  const page = readFileSync(`${import.meta.dir}/../../../docs/api.md`, "utf8");
  expect(page).toBe(withTable(page, operations));
});
