/** Whatever mirrors do, in whatever order: what the registry has comes, and is what it is. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import { parseReference } from "../src/oci/reference.ts";
import { type Answering, collect, MANIFEST, manifestOf, random, unsized } from "./kit/remote.ts";

const ROUNDS = Number(process.env.ONGGI_ROUNDS ?? 100);
const SIZE = 200_000;
const blob = random(SIZE);
const digest = digestOf(blob);
const manifest = new Uint8Array(manifestOf(blob));
const directory = mkdtempSync(join(tmpdir(), "onggi-mirrors-"));

const startOf = (request: Request): number => Number(/[0-9]+/.exec(request.headers.get("range") ?? "0")![0]);
const typed = { headers: { "Content-Type": MANIFEST } };
const honest: Answering = (request, url) => {
  if (!url.pathname.includes("/blobs/")) return new Response(manifest, typed);
  const from = startOf(request);
  if (from === 0) return new Response(blob);
  return new Response(blob.subarray(from), {
    status: 206,
    headers: { "Content-Range": `bytes ${from}-${SIZE - 1}/${SIZE}` },
  });
};
/** For blobs this, else honest. */
const lying =
  (answer: (request: Request, url: URL) => Response): Answering =>
  (request, url) =>
    url.pathname.includes("/blobs/") ? answer(request, url) : honest(request, url);
const always =
  (body: string, init: ResponseInit): Answering =>
  () =>
    new Response(body, init);
const flipped = new Uint8Array(blob);
flipped[SIZE >> 1]! ^= 1;

const behaviours: Readonly<Record<string, Answering>> = {
  honest,
  absent: always("", { status: 404 }),
  broken: always("", { status: 500 }),
  busy: always("", { status: 429, headers: { "Retry-After": "3600" } }),
  forbidding: always("", { status: 403 }),
  "asking for a password": always("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } }),
  "naming a token server that is not there": () =>
    new Response("", { status: 401, headers: { "WWW-Authenticate": `Bearer realm="http://${places.dead}/"` } }),
  empty: always("", {}),
  "a page": always("<h1>hello</h1>", { headers: { "Content-Type": "text/html" } }),
  null: always("null", typed),
  "schema 1": always('{"schemaVersion":1}', {
    headers: { "Content-Type": "application/vnd.docker.distribution.manifest.v1+json" },
  }),
  "redirecting to itself": (_request, url) => Response.redirect(url.href, 307),
  "redirecting to nowhere": always("", { status: 302 }),
  "redirecting to who is not there": () => new Response("", { status: 302, headers: { Location: `https://${places.dead}/x` } }),
  "calling it something else": (_request) =>
    new Response(manifest, { headers: { "Content-Type": MANIFEST, "Docker-Content-Digest": digestOf("else") } }),
  "sending other bytes": lying(() => new Response(random(SIZE))),
  "flipping a bit": lying((request) => new Response(flipped.subarray(startOf(request)))),
  "breaking off": lying((request) => new Response(unsized(blob.subarray(startOf(request), startOf(request) + 1000)))),
  "breaking off after other bytes": lying(() => new Response(unsized(random(5000)))),
  "sending too much": lying(() => new Response(unsized(random(SIZE + 1)))),
  "lying about the size": lying(() => new Response(random(SIZE - 1))),
  "sending another range": lying(
    () => new Response(blob.subarray(1), { status: 206, headers: { "Content-Range": `bytes 1-${SIZE - 1}/${SIZE}` } }),
  ),
};

const servers: Bun.Server<undefined>[] = [];
const places: Record<string, string> = {};
let origin: string;
const hanging = createServer((socket) => socket.on("error", () => {}).destroy());

beforeAll(async () => {
  const serve = (fetch: Answering): string => {
    const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => fetch(request, new URL(request.url)) });
    servers.push(server);
    return `127.0.0.1:${server.port}`;
  };
  for (const [name, answer] of Object.entries(behaviours)) places[name] = serve(answer);
  origin = serve(honest);
  // Nobody listens there; and who does hangs up.
  for (const name of ["dead", "hanging up"]) {
    await new Promise<void>((resolve) => hanging.listen(0, "127.0.0.1", resolve));
    places[name] = `127.0.0.1:${(hanging.address() as { port: number }).port}`;
    if (name === "dead") await new Promise((resolve) => hanging.close(resolve));
  }
});
afterAll(async () => {
  for (const server of servers) await server.stop(true);
  await new Promise((resolve) => hanging.close(resolve));
  rmSync(directory, { recursive: true });
});

const pull = async (mirrors: readonly string[]): Promise<void> => {
  const config = join(directory, "registries.toml");
  const tables = mirrors.map((name) => `[[registry."reg.example".mirror]]\nlocation = "${places[name]}"\ninsecure = "http"\n`);
  writeFileSync(config, `[registry."reg.example"]\nlocation = "${origin}"\ninsecure = "http"\n${tables.join("")}`);
  const registries = openRegistries({ config, hostsDirs: [], certsDirs: [], env: {}, timeouts: { pause: 1 } });
  try {
    const repository = registries.repository(parseReference("reg.example/team/app"));
    expect((await repository.manifest("v1")).digest).toBe(digestOf(manifest));
    expect((await repository.manifest(digestOf(manifest))).digest).toBe(digestOf(manifest));
    for (;;) {
      const read = repository.blob(digest, SIZE);
      if (digestOf(await collect(read)) === digest) return;
      expect(read.wrong("other bytes")).toBe(true);
    }
  } finally {
    registries.close();
  }
};

test("any mirrors in any order", async () => {
  const names = Object.keys(places);
  for (const name of names) await pull([name]);
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom(...names), { minLength: 2, maxLength: 5 }), pull), {
    numRuns: ROUNDS,
  });
}, 120_000);
