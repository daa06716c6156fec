/** `search`, by onggi and by Docker's command line: of an index as Docker Hub has one, and of a registry that has only a catalogue. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { dockerClients, dockerFor, refusalOf } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { Registry } from "../kit/registry.ts";

const LONG = "a jar of clay that breathes, in which soy sauce and kimchi keep for years and years";
const results = [
  { name: "jars/small", description: "a small\njar", star_count: 3, is_official: false, is_automated: false },
  { name: "jar", description: LONG, star_count: 1200, is_official: true, is_automated: false },
  { name: "other/jar", star_count: "many", is_official: "yes" },
];

/** Wants a name and password of who looks for "secret". */
const answerTo = ({ url, headers }: Request): Response => {
  const { pathname, searchParams } = new URL(url);
  if (pathname !== "/v1/search") return new Response("", { status: 404 });
  const [term, limit] = [searchParams.get("q"), Number(searchParams.get("n"))];
  if (term === "garbage") return new Response("<html>");
  if (term === "secret" && headers.get("authorization") !== `Basic ${btoa("ann:pass")}`)
    return new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="index"' } });
  return Response.json({ query: term, num_results: results.length, results: results.slice(0, limit) });
};

let engine: Engine;
let registry: Registry;
const index = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answerTo });
const none = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("", { status: 404 }) });
const at = (term: string): string => `127.0.0.1:${index.port}/${term}`;
beforeAll(async () => {
  engine = startEngine({ env: { DOCKER_CONFIG: "/nonexistent" } });
  await bootstrapBusybox(engine);
  registry = await Registry.start();
  for (const name of ["team/busybox", "team/jar", "busybox"]) {
    await engine.ok(["tag", "busybox", `${registry.domain}/${name}`]);
    await engine.ok(["push", "-q", `${registry.domain}/${name}`]);
  }
}, 120_000);
afterAll(async () => {
  await Promise.all([index.stop(true), none.stop(true)]);
  await registry?.close();
  await engine.close();
}, 120_000);

const table = `\
NAME         DESCRIPTION                                     STARS     OFFICIAL
jars/small   a small jar                                     3
jar          a jar of clay that breathes, in which soy sa…   1200      [OK]
other/jar                                                    0`;

test.each(["onggi", ...dockerClients().slice(-1)])("an index, by %s", async (client) => {
  const say = client === "onggi" ? engine.ok.bind(engine) : dockerFor(client, engine).ok.bind(dockerFor(client, engine));
  const lines = (text: string) => text.split("\n").map((line) => line.trimEnd());
  expect(lines(await say(["search", at("jar")]))).toEqual(table.split("\n"));
  expect(await say(["search", "--no-trunc", "--filter", "is-official=true", "--format", "{{.Description}}", at("jar")])).toBe(
    LONG,
  );
  expect(await say(["search", "--filter", "stars=4", "--format", "{{.Name}} {{.StarCount}}", at("jar")])).toBe("jar 1200");
  expect(await say(["search", "--limit", "1", "--format", "{{.Name}}", at("jar")])).toBe("jars/small");
  expect(await say(["search", "--filter", "is-automated=true", "--format", "{{.Name}}", at("jar")])).toBe("");
});

test("a registry without one: what its catalogue has, as it is pulled", async () => {
  const names = await engine.ok(["search", "--format", "{{.Name}}", `${registry.domain}/busybox`]);
  expect(names.split("\n").sort()).toEqual([`${registry.domain}/busybox`, `${registry.domain}/team/busybox`]);
  expect(await engine.ok(["pull", "-q", names.split("\n")[0]!])).toStartWith(registry.domain);
  expect(await engine.ok(["search", "--limit", "1", "-f", "stars=0", "--format", "{{.Name}}", `${registry.domain}/jar`])).toBe(
    `${registry.domain}/team/jar`,
  );
});

test("who asks is shown to it", async () => {
  const refused = await engine.onggi(["search", at("secret")]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("the registry refuses (401)") });
  const env = { DOCKER_CONFIG: `${engine.base}/docker` };
  await Bun.write(
    `${env.DOCKER_CONFIG}/config.json`,
    JSON.stringify({ auths: { [at("").slice(0, -1)]: { auth: btoa("ann:pass") } } }),
  );
  expect(await engine.ok(["search", "--format", "{{.Name}}", at("secret")], { env })).toBe("jars/small\njar\nother/jar");
});

test("what cannot be searched", async () => {
  for (const [words, said] of [
    [["https://127.0.0.1/jar"], "without a scheme"],
    [["--limit", "101", at("jar")], "limit 101 is outside the range of [1, 100]"],
    [["-f", "stars=some", at("jar")], "invalid filter stars=some"],
    [["-f", "colour=red", at("jar")], "no such filter: colour"],
    [[at("garbage")], "it is not JSON"],
    [[`127.0.0.1:${none.port}/jar`], "neither a search nor a catalogue"],
  ] as const) {
    const { stderr, code } = await engine.onggi(["search", ...words]);
    expect([code, stderr.includes(said) ? said : stderr]).toEqual([1, said]);
  }
  const ask = (query: string) => refusalOf(engine, "GET", `/images/search?${query}`);
  expect(await ask(`term=${at("jar")}&limit=-1`)).toEqual([400, "limit -1 is outside the range of [1, 100]"]);
  expect(await ask(`term=${at("jar")}&filters={"stars":["x"]}`)).toEqual([400, expect.stringContaining("stars=x")]);
  expect(await ask(`term=127.0.0.1:${none.port}/jar`)).toEqual([400, expect.stringContaining("neither")]);
});

test("nothing is left", () => engine.expectClean());
