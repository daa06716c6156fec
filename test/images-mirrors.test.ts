/** Mirrors: asked before the registry, and never the reason why something the registry has does not come. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries, RegistryAuth, Repository, RepositoryOptions } from "../src/images/remote/types.ts";
import { parseReference } from "../src/oci/reference.ts";
import { containerdUnavailable, startContainerd } from "./kit/containerd.ts";
import { dockerArchive, sh } from "./kit/images.ts";
import { Registry } from "./kit/registry.ts";
import { type Answering, collect, MANIFEST, manifestOf, passOn, random, serving, sourceOf, unsized } from "./kit/remote.ts";
import { skipLoudly } from "./kit/skip.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-mirrors-"));
const config = join(directory, "registries.toml");
const hostsDir = join(directory, "hosts");
const notes: string[] = [];
const blob = random(3_000_000);
const digest = digestOf(blob);
const manifest = manifestOf(blob);
let registries: Registries;
let origin: Registry;
let mirror: Registry;

beforeAll(async () => {
  [origin, mirror] = await Promise.all([Registry.start(), Registry.start()]);
  registries = openRegistries({
    config,
    hostsDirs: [hostsDir],
    certsDirs: [],
    env: {},
    timeouts: { answer: 2000, stall: 500, pause: 5 },
    note: (message) => notes.push(message),
  });
  for (const registry of [origin, mirror]) {
    const there = plainly(`${registry.domain}/team/app`);
    await there.upload(sourceOf(blob));
    await there.putManifest("v1", MANIFEST, manifest);
  }
});
afterEach(() => {
  rmSync(config, { force: true });
  rmSync(hostsDir, { recursive: true, force: true });
  notes.length = 0;
});
afterAll(async () => {
  registries?.close();
  await Promise.all([origin?.close(), mirror?.close()]);
  rmSync(directory, { recursive: true });
});

const plainly = (name: string): Repository => registries.repository(parseReference(name));

/** "reg.example" is the origin, by way of mirrors. */
const mirrored = (
  mirrors: readonly string[],
  auth?: RegistryAuth,
  place = origin.domain,
  options?: RepositoryOptions,
): Repository => {
  const tables = mirrors.map((lines) => `[[registry."reg.example".mirror]]\n${lines}`);
  writeFileSync(config, [`[registry."reg.example"]\nlocation = "${place}"\ninsecure = "http"`, ...tables].join("\n"));
  return registries.repository(parseReference("reg.example/team/app"), auth, options);
};
const at = (place: string, more = ""): string => `location = "${place}"\ninsecure = "http"\n${more}`;

/** What a pull does: the tag, then everything by digest. */
const pull = async (there: Repository): Promise<{ tag: string; blob: readonly string[] }> => {
  const found = await there.manifest("v1");
  expect(Buffer.compare(found.bytes, manifest)).toBe(0);
  for (;;) {
    const read = there.blob(digest, blob.length);
    const bytes = await collect(read);
    if (digestOf(bytes) === digest) return { tag: found.source, blob: read.sources };
    if (!read.wrong("another digest")) throw new Error("nobody has it");
  }
};

/** Nobody listens there. */
const deadPort = (): Promise<string> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(`127.0.0.1:${port}`));
    });
  });

test("a mirror that has it is asked alone", async () => {
  const before = (await origin.log()).length;
  expect(await pull(mirrored([at(mirror.domain)]))).toEqual({ tag: mirror.domain, blob: [mirror.domain] });
  expect((await origin.log()).length).toBe(before);
});

test("digest-only and tag-only mirrors are asked for no more than that", async () => {
  const only = (kind: string) => mirrored([at(mirror.domain, `pull-from-mirror = "${kind}"`)]);
  expect(await pull(only("digest-only"))).toEqual({ tag: origin.domain, blob: [mirror.domain] });
  expect(await pull(only("tag-only"))).toEqual({ tag: mirror.domain, blob: [origin.domain] });
});

test("an old mirror's schema 1, and a manifest that it calls something else, are passed over", async () => {
  const old = new TextEncoder().encode(JSON.stringify({ schemaVersion: 1, name: "team/app", tag: "v1", fsLayers: [] }));
  for (const [body, type] of [
    [old, "application/vnd.docker.distribution.manifest.v1+json"],
    [manifest, "application/octet-stream"],
  ] as const) {
    const answer = () => new Response(new Uint8Array(body), { headers: { "Content-Type": type } });
    await serving(answer, async (odd) => expect((await mirrored([at(odd)]).manifest("v1")).source).toBe(origin.domain));
  }
});

test("mirrors that are down, empty or no registry are passed over, in order; one that is down is then left alone", async () => {
  const dead = await deadPort();
  await serving(
    () => new Response("<h1>Welcome to this hotel</h1>", { headers: { "Content-Type": "text/html" } }),
    async (portal) => {
      const there = mirrored([at(dead), at(mirror.domain, "").replace(mirror.domain, `${mirror.domain}/nobody`), at(portal)]);
      expect(await pull(there)).toEqual({ tag: origin.domain, blob: [origin.domain] });
      const failed = notes.map((note) => note.replace(/: .*/s, ""));
      expect(failed.slice(0, 3)).toEqual([`${dead}/team/app`, `${mirror.domain}/nobody/team/app`, `${portal}/team/app`]);
      // The dead one was asked once; the others for the blob too.
      expect(failed.filter((name) => name.startsWith(dead))).toHaveLength(1);
      expect(failed).toHaveLength(5);
    },
  );
});

test("what a mirror lies about comes from the registry", async () => {
  const lies = random(blob.length);
  await serving(
    (_request, url) => {
      if (url.pathname.includes("/blobs/")) return new Response(lies);
      if (url.pathname.endsWith("/v1")) return new Response(manifest, { headers: { "Content-Type": MANIFEST } });
      return new Response(manifestOf(lies), { headers: { "Content-Type": MANIFEST } });
    },
    async (liar) => {
      const there = mirrored([at(liar)]);
      expect(await pull(there)).toEqual({ tag: liar, blob: [origin.domain] });
      expect(notes.join()).toContain("another digest");
      // By digest at once, as the repository remembers.
      expect((await there.manifest(digestOf(manifest))).source).toBe(origin.domain);
      const read = there.blob(digest, blob.length);
      await collect(read);
      expect(read.sources).toEqual([origin.domain]);
      expect(read.wrong("it is right, in truth")).toBe(false);
    },
  );
});

test("a blob that breaks off at one mirror goes on at the next, and ends at the registry", async () => {
  const ranges: (string | null)[] = [];
  const breaking = (upTo: number) => (request: Request) => {
    const from = Number(/[0-9]+/.exec(request.headers.get("range") ?? "0")![0]);
    const headers = { "Content-Range": `bytes ${from}-${blob.length - 1}/${blob.length}` };
    const part = unsized(blob.subarray(from, upTo));
    return from === 0 ? new Response(part) : new Response(part, { status: 206, headers });
  };
  await serving(breaking(1_000_000), (first) =>
    serving(breaking(2_000_000), (second) =>
      serving(
        (request, url) => {
          ranges.push(request.headers.get("range"));
          return passOn(request, url, origin.url);
        },
        async (last) => {
          const there = mirrored([at(first), at(second)], undefined, last);
          const read = there.blob(digest, blob.length);
          expect(digestOf(await collect(read))).toBe(digest);
          expect(read.sources).toEqual([first, second, last]);
          expect(ranges).toEqual(["bytes=2000000-"]);
          // Who took part in a mixture that is wrong is asked no more, but for the registry.
          expect(read.wrong("mixed")).toBe(true);
          expect((await pull(there)).blob).toEqual([last]);
        },
      ),
    ),
  );
});

test("a silent mirror is given up, an error names every source and why", async () => {
  const { promise: held } = Promise.withResolvers<Response>();
  const dead = await deadPort();
  await serving(
    () => held,
    async (silent) => {
      const there = mirrored([at(dead), at(silent)]);
      const asking = there.manifest("none");
      await expect(asking).rejects.toMatchObject({ code: "manifest_unknown" });
      const message = await asking.then(String, (error: Error) => error.message);
      expect(message).toContain("reg.example/team/app: manifest none: none of 3 sources: (1) ");
      expect(message).toMatch(new RegExp(`\\(1\\) ${dead}/team/app: manifest none: ${dead} cannot be reached \\(.*REFUSED`));
      expect(message).toContain(`(2) ${silent}/team/app: manifest none: ${silent} cannot be reached (no answer for 2 s)`);
      expect(message).toContain("(3) reg.example/team/app: manifest none: the registry does not have it (404)");
      expect(await there.resolve("none")).toBeNull();
    },
  );
}, 20_000);

test("credentials of the registry go to the registry alone; a pull-through cache is told whose content is meant", async () => {
  const seen: string[] = [];
  const wants = (request: Request, url: URL): Response | null => {
    seen.push(`${url.host} ${url.search} ${request.headers.get("authorization")}`);
    if (request.headers.get("authorization")) return null;
    return new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } });
  };
  await serving(
    (request, url) => wants(request, url) ?? new Response(""),
    (cache) =>
      serving(
        (request, url) => wants(request, url) ?? passOn(request, url, origin.url),
        async (guarded) => {
          const there = mirrored([at(cache, "pull-through = true")], { username: "ann", password: "secret-word" }, guarded);
          await there.manifest("v1");
          const basic = `Basic ${btoa("ann:secret-word")}`;
          expect(seen).toEqual([`${cache} ?ns=reg.example null`, `${guarded}  null`, `${guarded}  ${basic}`]);
          expect(notes.join()).toContain("the registry refuses (401)");
          expect(notes.join()).not.toContain("secret-word");
          // It gets those that are kept for itself.
          seen.length = 0;
          const authOf = (host: string) => (host === cache ? { username: "cara", password: "own" } : undefined);
          await mirrored([at(cache)], { username: "ann", password: "secret-word" }, guarded, { authOf }).manifest("v1");
          expect(seen.slice(0, 2)).toEqual([`${cache}  null`, `${cache}  Basic ${btoa("cara:own")}`]);
          expect(seen.at(-1)).toBe(`${guarded}  ${basic}`);
          expect(registries.mirrorsOf(parseReference("reg.example/team/app"))).toEqual([cache]);
          // What must be the registry's own word is not asked of a mirror.
          seen.length = 0;
          const own = mirrored([at(cache)], { username: "ann", password: "secret-word" }, guarded, { mirrors: false });
          await own.manifest("v1");
          expect(seen).toEqual([`${guarded}  ${basic}`]);
        },
      ),
  );
});

test("pushes, and lists, are the registry's own", async () => {
  const before = (await mirror.log()).length;
  const there = mirrored([at(mirror.domain)]);
  const other = random(1000);
  expect(await there.hasBlob(digestOf(other))).toBeNull();
  await there.upload(sourceOf(other));
  await there.putManifest("v2", MANIFEST, manifestOf(other));
  expect((await there.tags()).sort()).toEqual(["v1", "v2"]);
  expect((await mirror.log()).length).toBe(before);
  // Where the registry is gone, a mirror's list is better than none.
  expect(await mirrored([at(mirror.domain)], undefined, await deadPort()).tags()).toEqual(["v1"]);
  expect((await there.manifest("v2")).source).toBe(origin.domain);
});

test("containerd's hosts.toml: capabilities, ns, headers, the path as it stands", async () => {
  const write = (lines: string[]): Repository => {
    mkdirSync(join(hostsDir, "reg.example"), { recursive: true });
    writeFileSync(join(hostsDir, "reg.example/hosts.toml"), lines.join("\n"));
    return plainly("reg.example/team/app");
  };
  const seen: string[] = [];
  await serving(
    (request, url) => {
      seen.push(`${request.method} ${url.pathname}${url.search} ${request.headers.get("x-who")}`);
      const moved = new URL(url.href.replace("/api/team/", "/v2/team/"));
      return passOn(request, moved, mirror.url);
    },
    async (front) => {
      const there = write([
        `server = "http://${origin.domain}"`,
        `[host."http://${front}/api"]`,
        'capabilities = ["pull"]',
        "override_path = true",
        'header = { x-who = "onggi" }',
      ]);
      expect(await pull(there)).toEqual({ tag: origin.domain, blob: [front] });
      expect(seen).toEqual([`GET /api/team/app/blobs/${digest}?ns=reg.example onggi`]);
      await there.upload(sourceOf(random(10)));
      expect(seen).toHaveLength(1);
      const pushing = write([`[host."http://${front}"]`, 'capabilities = ["push"]']);
      await pushing.upload(sourceOf(random(10)));
      expect(seen.some((line) => line.startsWith("POST /v2/team/app/blobs/uploads/"))).toBe(true);
      // Who writes asks the same one what is there.
      seen.length = 0;
      const written = registries.repository(parseReference("reg.example/team/app"), {}, { mirrors: false });
      expect(await written.resolve("v1")).not.toBeNull();
      expect(seen.map((line) => line.split("?")[0])).toEqual(["HEAD /v2/team/app/manifests/v1"]);
      write([`server = "http://${front}"`, 'capabilities = ["pull"]']);
      for (const mirrors of [true, false]) {
        const nobody = registries.repository(parseReference("reg.example/team/app"), {}, { mirrors });
        await expect(nobody.upload(sourceOf(random(10)))).rejects.toMatchObject({ code: "registry_config_invalid" });
      }
    },
  );
});

test("a change of the file counts at once", async () => {
  expect((await mirrored([at(mirror.domain)]).manifest("v1")).source).toBe(mirror.domain);
  expect((await mirrored([]).manifest("v1")).source).toBe(origin.domain);
  writeFileSync(config, '[registry."reg.example"]\nblocked = true');
  expect(() => plainly("reg.example/team/app")).toThrow("blocked");
  await expect(registries.login("reg.example", {})).rejects.toThrow("blocked");
});

const without = containerdUnavailable();
if (without) skipLoudly(`hosts.toml as containerd reads it: ${without}`);

describe.skipIf(without !== null)("containerd", () => {
  test("asks the same blobs of the same hosts, by the same hosts.toml", async () => {
    const containerd = await startContainerd("/usr/bin/runc");
    const seen: string[] = [];
    const noting = (name: string, answer: Answering): Answering => {
      return (request, url) => {
        if (url.pathname.includes("/blobs/")) seen.push(`${name} ${url.pathname}${url.search} ${request.headers.get("x-who")}`);
        return answer(request, url);
      };
    };
    const asked = async (pulling: () => Promise<unknown>): Promise<string[]> => {
      seen.length = 0;
      await pulling();
      return [...seen].sort();
    };
    const archive = `docker-archive:${dockerArchive()}`;
    sh(["skopeo", "copy", "-q", "--dest-tls-verify=false", archive, `docker://${origin.domain}/team/whole:1`]);
    const bare: Answering = (request, url) =>
      url.pathname.includes("/blobs/") ? new Response("", { status: 404 }) : passOn(request, url, origin.url);
    try {
      await serving(noting("mirror", bare), (first) =>
        serving(
          noting("server", (request, url) => passOn(request, url, origin.url)),
          async (server) => {
            const there = "reg.example/team/whole:1";
            mkdirSync(join(hostsDir, "reg.example"), { recursive: true });
            const lines = [
              `server = "http://${server}"`,
              `[host."http://${first}/api"]`,
              'capabilities = ["pull"]',
              "override_path = true",
              'header = { x-who = "us" }',
              `[host."http://${first}"]`,
              'capabilities = ["pull", "resolve"]',
            ];
            writeFileSync(join(hostsDir, "reg.example/hosts.toml"), lines.join("\n"));
            const theirs = await asked(() => containerd.client.ok(["images", "pull", "--hosts-dir", hostsDir, there]));
            const ours = await asked(async () => {
              const repository = plainly(there);
              const { config, layers } = JSON.parse(new TextDecoder().decode((await repository.manifest("1")).bytes));
              for (const each of [config, ...layers]) await collect(repository.blob(each.digest, each.size));
            });
            expect(ours).toHaveLength(4 * 3);
            expect(ours).toEqual(theirs);
          },
        ),
      );
    } finally {
      await containerd.stop();
    }
  }, 60_000);
});
