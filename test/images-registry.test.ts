/** The registry client against Debian's docker-registry, and against servers that mean no good. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries, RegistryAuth, Repository } from "../src/images/remote/types.ts";
import { hexOf, isDigest } from "../src/oci/digest.ts";
import { parseReference } from "../src/oci/reference.ts";
import { Registry } from "./kit/registry.ts";
import { collect, MANIFEST, manifestOf, random, serving, sourceOf, unsized } from "./kit/remote.ts";

const nothing = mkdtempSync(join(tmpdir(), "onggi-certs-"));
const registries = openRegistries({ config: join(nothing, "none"), certsDirs: [nothing], hostsDirs: [nothing], env: {} });
let plain: Registry;

beforeAll(async () => {
  plain = await Registry.start();
});
afterAll(async () => {
  registries.close();
  await plain?.close();
  rmSync(nothing, { recursive: true });
});

const repository = (domain: string, path: string, auth?: RegistryAuth, by: Registries = registries): Repository =>
  by.repository(parseReference(`${domain}/${path}`), auth);

const roundTrip = async (there: Repository): Promise<void> => {
  const blob = random(3_000_001);
  const digest = digestOf(blob);
  expect(await there.hasBlob(digest)).toBeNull();
  expect(await there.upload(sourceOf(blob, false))).toEqual({ digest, size: blob.length });
  expect(await there.hasBlob(digest)).toBe(blob.length);
  expect(Buffer.compare(await collect(there.blob(digest, blob.length)), blob)).toBe(0);
  const bytes = manifestOf(blob);
  expect(await there.resolve("v1")).toBeNull();
  expect(await there.putManifest("v1", MANIFEST, bytes)).toBe(digestOf(bytes));
  expect(await there.resolve("v1")).toEqual({ digest: digestOf(bytes), mediaType: MANIFEST, size: bytes.length });
  const manifest = await there.manifest(digestOf(bytes));
  expect([manifest.digest, manifest.mediaType]).toEqual([digestOf(bytes), MANIFEST]);
  expect(await there.tags()).toEqual(["v1"]);
};

test("what goes up comes down: blobs, manifests, tags", async () => {
  await roundTrip(repository(plain.domain, "team/app"));
});

test("a blob is mounted from another repository", async () => {
  const blob = random(1000);
  const source = repository(plain.domain, "mount/source");
  const target = repository(plain.domain, "mount/target");
  await source.upload(sourceOf(blob));
  expect(await target.mountBlob(digestOf(blob), "mount/source")).toBe(true);
  expect(await target.hasBlob(digestOf(blob))).toBe(1000);
  expect(await target.mountBlob(digestOf(random(5)), "mount/source")).toBe(false);
});

test("a registry that is restarted in the middle of a blob", async () => {
  const registry = await Registry.start();
  try {
    const there = repository(registry.domain, "team/big");
    const blob = random(24 << 20);
    await there.upload(sourceOf(blob));
    const parts: Uint8Array[] = [];
    for await (const chunk of there.blob(digestOf(blob), blob.length)) {
      parts.push(chunk);
      if (parts.length > 1) continue;
      await registry.down();
      await registry.up();
    }
    expect(Buffer.compare(Buffer.concat(parts), blob)).toBe(0);
  } finally {
    await registry.close();
  }
});

test("registries.toml moves, opens and blocks registries", async () => {
  const config = join(nothing, "registries.toml");
  const tables = [
    '[registry."a.example"]',
    `location = "${plain.domain}"`,
    'insecure = "http"',
    '[registry."b.example"]',
    "blocked = true",
  ];
  await Bun.write(config, tables.join("\n"));
  const moved = openRegistries({ config, certsDirs: [nothing], hostsDirs: [nothing], env: {} });
  await roundTrip(repository("a.example", "team/moved", {}, moved));
  expect(() => repository("b.example", "x/y", {}, moved)).toThrow("b.example is blocked");
  moved.close();
});

test("referrers fall back to the tag schema; a manifest can be deleted", async () => {
  const there = repository(plain.domain, "team/referred");
  const blob = random(10);
  await there.upload(sourceOf(blob));
  const bytes = manifestOf(blob);
  const digest = await there.putManifest("v1", MANIFEST, bytes);
  expect(JSON.parse(new TextDecoder().decode((await there.referrers(digest)).bytes)).manifests).toEqual([]);
  await there.putManifest(`sha256-${hexOf(digest)}`, MANIFEST, manifestOf(blob));
  await there.deleteManifest(digest);
  expect(await there.resolve(digest)).toBeNull();
  await expect(there.manifest("none")).rejects.toMatchObject({ code: "manifest_unknown" });
});

test("names and passwords, by TLS and its authority", async () => {
  const registry = await Registry.start({ users: { ann: "secret-word" }, tls: true });
  const certs = mkdtempSync(join(tmpdir(), "onggi-certs-"));
  mkdirSync(join(certs, registry.domain));
  copyFileSync(registry.ca, join(certs, registry.domain, "ca.crt"));
  const checked = openRegistries({ config: join(certs, "registries.toml"), certsDirs: [certs], hostsDirs: [], env: {} });
  const other = await Registry.start({ tls: true });
  mkdirSync(join(certs, other.domain));
  copyFileSync(registry.ca, join(certs, other.domain, "ca.crt"));
  try {
    await roundTrip(repository(registry.domain, "team/app", { username: "ann", password: "secret-word" }, checked));
    const wrong = { username: "ann", password: "not-it" };
    const refusal = await repository(registry.domain, "team/app", wrong, checked)
      .manifest("v1")
      .catch((error: unknown) => error as Error);
    expect(refusal).toMatchObject({ code: "registry_unauthorized" });
    expect(String((refusal as Error).message)).not.toContain("not-it");
    await expect(repository(registry.domain, "team/app", {}, checked).manifest("v1")).rejects.toMatchObject({
      code: "registry_unauthorized",
    });
    await expect(checked.login(registry.domain, wrong)).rejects.toMatchObject({ code: "registry_unauthorized" });
    expect(await checked.login(registry.domain, { username: "ann", password: "secret-word" })).toEqual({});
    await expect(repository(other.domain, "team/app", {}, checked).manifest("v1")).rejects.toMatchObject({
      code: "registry_unreachable",
    });
  } finally {
    checked.close();
    await registry.close();
    await other.close();
    rmSync(certs, { recursive: true });
  }
});

test("a redirect to another host is followed without credentials", async () => {
  const blob = random(5000);
  const seen: (string | null)[] = [];
  await serving(
    (request) => {
      seen.push(request.headers.get("authorization"));
      return new Response(blob);
    },
    (store) =>
      serving(
        (request) =>
          request.headers.get("authorization")
            ? Response.redirect(`http://${store}/blob`, 307)
            : new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } }),
        async (domain) => {
          const there = repository(domain, "a/b", { username: "ann", password: "secret-word" });
          expect(Buffer.compare(await collect(there.blob(digestOf(blob), blob.length)), blob)).toBe(0);
          expect(seen).toEqual([null]);
        },
      ),
  );
});

test("a redirect within the registry keeps the credentials", async () => {
  const bytes = manifestOf(random(3));
  await serving(
    (request, url) => {
      if (!request.headers.get("authorization"))
        return new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } });
      if (url.pathname.startsWith("/moved")) return new Response(bytes, { headers: { "Content-Type": MANIFEST } });
      return Response.redirect(new URL("/moved", url).href, 307);
    },
    async (domain) => {
      const there = repository(domain, "a/b", { username: "ann", password: "secret-word" });
      expect((await there.manifest("v1")).digest).toBe(digestOf(bytes));
    },
  );
});

test("a registry of this machine leads nobody to another one in plain HTTP", async () => {
  await serving(
    (_request, url) => {
      if (url.pathname.includes("/blobs/")) return Response.redirect("http://registry.invalid/blob", 307);
      const challenge = 'Bearer realm="http://registry.invalid/token",service="s"';
      return new Response("", { status: 401, headers: { "WWW-Authenticate": challenge } });
    },
    async (domain) => {
      const there = repository(domain, "a/b", { username: "ann", password: "secret-word" });
      const invalid = { code: "registry_answer_invalid", message: expect.stringContaining("not https") };
      await expect(collect(there.blob(digestOf("x"), 1))).rejects.toMatchObject(invalid);
      await expect(there.manifest("v1")).rejects.toMatchObject(invalid);
    },
  );
});

test("tokens are fetched for their scope, kept, and fetched again when refused", async () => {
  let issued = 0;
  let uses = 0;
  const scopes: string[] = [];
  const bytes = manifestOf(random(3));
  await serving(
    (request, url) => {
      if (url.pathname === "/token") {
        scopes.push(url.searchParams.getAll("scope").join(" "));
        return Response.json({ token: `t${++issued}`, expires_in: 300 });
      }
      // The first token is good for two requests.
      const shown = request.headers.get("authorization");
      if (shown === "Bearer t2" || (shown === "Bearer t1" && uses++ < 2))
        return new Response(bytes, { headers: { "Content-Type": MANIFEST } });
      const challenge = `Bearer realm="http://${url.host}/token",service="s"`;
      return new Response("", { status: 401, headers: { "WWW-Authenticate": challenge } });
    },
    async (domain) => {
      const there = repository(domain, "a/b");
      await there.manifest("v1");
      await there.manifest("v1");
      await there.manifest("v1");
      expect(scopes).toEqual(["repository:a/b:pull", "repository:a/b:pull"]);
    },
  );
});

test("a broken body is taken up where it broke; lies about it are errors", async () => {
  const blob = random(400_000);
  const ranges: (string | null)[] = [];
  let mode = "break";
  await serving(
    (request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      const range = request.headers.get("range");
      ranges.push(range);
      if (mode === "long") return new Response(unsized(Buffer.concat([blob, new Uint8Array(1)])));
      const from = range ? Number(/\d+/.exec(range)![0]) : 0;
      const part = blob.subarray(from, from + 150_000);
      // Chunked, and short: the whole is longer than what comes.
      const stream = unsized(part);
      if (!range) return new Response(stream);
      const start = mode === "lie" ? 0 : from;
      const headers = { "Content-Range": `bytes ${start}-${from + part.length - 1}/${blob.length}` };
      return new Response(stream, { status: 206, headers });
    },
    async (domain) => {
      const there = repository(domain, "a/b");
      expect(Buffer.compare(await collect(there.blob(digestOf(blob), blob.length)), blob)).toBe(0);
      expect(ranges).toEqual([null, "bytes=150000-", "bytes=300000-"]);
      for (mode of ["lie", "long"])
        await expect(collect(there.blob(digestOf(blob), blob.length))).rejects.toMatchObject({ code: "registry_answer_invalid" });
    },
  );
});

test("what makes no sense is refused", async () => {
  let hits = 0;
  await serving(
    (_request, url) => {
      const last = url.pathname.split("/").at(-1);
      if (last === "huge") return new Response(new Blob([new Uint8Array(100 << 20)]).stream());
      if (last === "round") return Response.redirect(url.href, 302);
      if (last === "busy" && hits++ === 0) return new Response("", { status: 429, headers: { "Retry-After": "0" } });
      if (last === "list") return new Response('{"tags":["a"]}', { headers: { Link: '</v2/a/b/tags/list>; rel="next"' } });
      return new Response("{}");
    },
    async (domain) => {
      const there = repository(domain, "a/b");
      for (const tag of ["huge", "round"])
        await expect(there.manifest(tag)).rejects.toMatchObject({ code: "registry_answer_invalid" });
      await expect(there.manifest(digestOf("other"))).rejects.toMatchObject({ code: "digest_mismatch" });
      await expect(there.tags()).rejects.toMatchObject({ code: "registry_answer_invalid" });
      expect(isDigest((await there.manifest("busy")).digest)).toBe(true);
      expect(hits).toBe(2);
    },
  );
});

test("a server that falls silent is given up; an abort ends everything", async () => {
  const quick = openRegistries({
    config: join(nothing, "none"),
    certsDirs: [nothing],
    hostsDirs: [nothing],
    env: {},
    timeouts: { answer: 300 },
  });
  const abort = new AbortController();
  const { promise: heard, resolve: hear } = Promise.withResolvers<void>();
  await serving(
    (_request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      hear();
      return new Promise<Response>(() => {});
    },
    async (domain) => {
      const reason = new Error("enough");
      const asking = repository(domain, "a/b").manifest("v1", abort.signal);
      await Promise.race([heard, asking]);
      abort.abort(reason);
      await expect(asking).rejects.toBe(reason);
      await expect(repository(domain, "a/b", {}, quick).manifest("v1")).rejects.toMatchObject({ code: "registry_unreachable" });
    },
  );
  quick.close();
});
