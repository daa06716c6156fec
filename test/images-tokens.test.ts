/** Tokens: Debian's docker-registry with a token server of its own, and servers that ask for more. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Registries, RegistryAuth, Repository } from "../src/images/remote/types.ts";
import { parseReference } from "../src/oci/reference.ts";
import { Registry } from "./kit/registry.ts";
import { collect, MANIFEST, manifestOf, random, serving, sourceOf } from "./kit/remote.ts";
import { TokenServer, type TokenServerOptions } from "./kit/token-server.ts";

const ann = { username: "ann", password: "secret-word" };
const users = { ann: "secret-word" };
const opened: Registries[] = [];

/** A client that knows no token yet. */
const open = (): Registries => {
  const registries = openRegistries({ config: "/nowhere", hostsDirs: [], certsDirs: [], env: {}, timeouts: { pause: 5 } });
  opened.push(registries);
  return registries;
};
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

const guarded = async (options: TokenServerOptions): Promise<{ tokens: TokenServer; registry: Registry }> => {
  const tokens = new TokenServer(options);
  try {
    return { tokens, registry: await Registry.start({ config: tokens.config }) };
  } catch (error) {
    await tokens.close();
    throw error;
  }
};

let classic: { tokens: TokenServer; registry: Registry };
let modern: { tokens: TokenServer; registry: Registry };
beforeAll(async () => {
  classic = await guarded({ users });
  modern = await guarded({ users, onlyPost: true });
});
afterEach(() => {
  for (const { tokens } of [classic, modern]) tokens.requests.length = 0;
});
afterAll(async () => {
  for (const each of [classic, modern]) {
    await each?.registry.close();
    await each?.tokens.close();
  }
});

const repository = (registry: { readonly domain: string }, path: string, auth: RegistryAuth, by = open()): Repository =>
  by.repository(parseReference(`${registry.domain}/${path}`), auth);

const roundTrip = async (there: Repository): Promise<void> => {
  const blob = random(100_000);
  await there.upload(sourceOf(blob));
  const bytes = manifestOf(blob);
  await there.putManifest("v1", MANIFEST, bytes);
  expect((await there.manifest("v1")).digest).toBe(digestOf(bytes));
  expect(Buffer.compare(await collect(there.blob(digestOf(blob), blob.length)), blob)).toBe(0);
};

test("a token for each scope, however many requests; the challenge's scope is what is asked for", async () => {
  const { tokens, registry } = classic;
  await roundTrip(repository(registry, "team/app", ann));
  const asked = tokens.requests.map(({ method, user, scopes }) => [method, user, ...scopes]);
  expect(asked).toEqual([
    ["GET", "ann", "repository:team/app:pull,push"],
    ["GET", "ann", "repository:team/app:pull"],
  ]);
});

test("nobody may pull and not push; a wrong password is sent once and told nowhere", async () => {
  const { tokens, registry } = classic;
  await roundTrip(repository(registry, "team/open", ann));
  const nobody = repository(registry, "team/open", {});
  await nobody.manifest("v1");
  await expect(nobody.upload(sourceOf(random(10)))).rejects.toMatchObject({ code: "registry_unauthorized" });
  tokens.requests.length = 0;
  const wrong = repository(registry, "team/open", { username: "ann", password: "not-it" });
  const refusal = await wrong.manifest("v1").catch((error: Error) => error as Error);
  expect(refusal).toMatchObject({ code: "registry_unauthorized", message: expect.stringContaining("token server") });
  expect(String(refusal)).not.toContain("not-it");
});

test("a blob is mounted from another repository with a token for both", async () => {
  const { tokens, registry } = classic;
  const by = open();
  const blob = random(1000);
  await repository(registry, "team/base", ann, by).upload(sourceOf(blob));
  tokens.requests.length = 0;
  expect(await repository(registry, "team/derived", ann, by).mountBlob(digestOf(blob), "team/base")).toBe(true);
  expect(tokens.requests.map(({ scopes }) => scopes)).toEqual([
    ["repository:team/derived:pull,push", "repository:team/base:pull"],
  ]);
});

test("OAuth2: by password where there is no GET, then by the identity token that login brings", async () => {
  const { tokens, registry } = modern;
  await roundTrip(repository(registry, "team/app", ann));
  expect(tokens.requests.map(({ method, grant }) => `${method} ${grant}`)).toEqual(["POST password", "POST password"]);
  const { identityToken } = await open().login(registry.domain, ann);
  expect(identityToken).toMatch(/^refresh-ann-/);
  tokens.requests.length = 0;
  await roundTrip(repository(registry, "team/app", { username: "ann", identityToken: identityToken! }));
  expect(tokens.requests.map(({ method, user, grant }) => `${method} ${user} ${grant}`)).toEqual([
    "POST ann refresh_token",
    "POST ann refresh_token",
  ]);
  const stale = repository(registry, "team/app", { username: "ann", identityToken: "refresh-of-old" });
  const refusal = await stale.manifest("v1").catch((error: Error) => error as Error);
  expect(refusal).toMatchObject({ code: "registry_error", message: expect.stringContaining("token server") });
  expect(String(refusal)).not.toContain("refresh-of-old");
});

test("login by GET brings an identity token too", async () => {
  const { registry } = classic;
  expect((await open().login(registry.domain, ann)).identityToken).toMatch(/^refresh-ann-/);
  await expect(open().login(registry.domain, { ...ann, password: "x" })).rejects.toMatchObject({ code: "registry_unauthorized" });
});

test("a token that has ended is replaced and nobody notices; a fresh one that is refused is an error", async () => {
  const { tokens, registry } = classic;
  await roundTrip(repository(registry, "team/stale", ann));
  tokens.requests.length = 0;
  // docker-registry takes tokens for a minute longer: this one is good for about two seconds.
  tokens.stale.push(58);
  const there = repository(registry, "team/stale", ann);
  for (const deadline = Date.now() + 20_000; tokens.requests.length < 2; await Bun.sleep(200)) {
    await there.manifest("v1");
    if (Date.now() > deadline) throw new Error("the token never ended");
  }
  tokens.requests.length = 0;
  tokens.stale.push(3600);
  await expect(repository(registry, "team/stale", ann).manifest("v1")).rejects.toMatchObject({ code: "registry_unauthorized" });
  expect(tokens.requests).toHaveLength(1);
}, 30_000);

test("a token server that is busy is waited for; one that stays so is an error", async () => {
  const { tokens, registry } = classic;
  await roundTrip(repository(registry, "team/busy", ann));
  const busy = (): Response => new Response("", { status: 429, headers: { "Retry-After": "0" } });
  tokens.refusals.push(busy(), new Response("", { status: 503 }));
  await repository(registry, "team/busy", ann).manifest("v1");
  tokens.refusals.push(...Array.from({ length: 5 }, busy));
  await expect(repository(registry, "team/busy", ann).manifest("v1")).rejects.toMatchObject({
    code: "registry_error",
    message: expect.stringMatching(/token server .* 429/),
  });
  expect(tokens.refusals).toHaveLength(0);
});

const challenge = (url: URL, more: string): Record<string, string> => ({
  "WWW-Authenticate": `Bearer realm="http://${url.host}/token",service="s"${more}`,
});

test.each([401, 403])("%d insufficient_scope: the scope it names is asked for too, and from then on at once", async (status) => {
  const asked: string[] = [];
  let requests = 0;
  const bytes = manifestOf(random(3));
  await serving(
    (request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      if (url.pathname === "/token") {
        asked.push(url.searchParams.getAll("scope").join(" "));
        return Response.json({ token: `for:${asked.at(-1)!.replaceAll(" ", "+")}` });
      }
      requests++;
      const shown = request.headers.get("authorization");
      if (!shown) return new Response("", { status: 401, headers: challenge(url, "") });
      if (shown === "Bearer for:repository:a/b:pull,push+repository:c:pull")
        return new Response(bytes, { headers: { "Content-Type": MANIFEST } });
      const more = ',error="insufficient_scope",scope="repository:a/b:push repository:c:pull \u00e9:x:y"';
      return new Response("", { status, headers: challenge(url, more) });
    },
    async (domain) => {
      const there = repository({ domain }, "a/b", {});
      await there.manifest("v1");
      expect(asked).toEqual(["repository:a/b:pull", "repository:a/b:pull,push repository:c:pull"]);
      expect(requests).toBe(3);
      await there.manifest("v1");
      expect([asked.length, requests]).toEqual([2, 4]);
    },
  );
});

test("a registry that always wants more is refused its game", async () => {
  let asked = 0;
  await serving(
    (_request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      if (url.pathname === "/token") return Response.json({ token: `t${++asked}` });
      const more = `,error="insufficient_scope",scope="repository:x${asked}:pull"`;
      return new Response("", { status: 401, headers: challenge(url, more) });
    },
    async (domain) => {
      await expect(repository({ domain }, "a/b", ann).manifest("v1")).rejects.toMatchObject({ code: "registry_unauthorized" });
      expect(asked).toBe(2);
    },
  );
});

test("who gives up waiting for a token does not take it from the others", async () => {
  const { promise: token, resolve: give } = Promise.withResolvers<void>();
  const { promise: heard, resolve: hear } = Promise.withResolvers<void>();
  let asked = 0;
  const bytes = manifestOf(random(3));
  await serving(
    (request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      if (url.pathname === "/token") {
        asked++;
        hear();
        return token.then(() => Response.json({ token: "t" }));
      }
      if (request.headers.get("authorization")) return new Response(bytes, { headers: { "Content-Type": MANIFEST } });
      return new Response("", { status: 401, headers: challenge(url, "") });
    },
    async (domain) => {
      const there = repository({ domain }, "a/b", {});
      const abort = new AbortController();
      const first = there.manifest("v1", abort.signal);
      await Promise.race([heard, first]);
      const second = there.manifest("v1");
      const reason = new Error("enough");
      abort.abort(reason);
      await expect(first).rejects.toBe(reason);
      give();
      expect((await second).digest).toBe(digestOf(bytes));
      // The second may have come to the token server only after the first had left.
      expect(asked).toBeLessThanOrEqual(2);
    },
  );
});
