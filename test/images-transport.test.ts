/** How registries are reached: proxies, certificates, HTTP/2, servers that stall, and what they write. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries, type RegistriesOptions } from "../src/images/remote/registries.ts";
import type { Registries, Repository } from "../src/images/remote/types.ts";
import { parseReference } from "../src/oci/reference.ts";
import { ConnectProxy } from "./kit/proxy.ts";
import { Registry } from "./kit/registry.ts";
import { collect, MANIFEST, manifestOf, random, serving, sourceOf, unsized } from "./kit/remote.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-transport-"));
let registry: Registry;

beforeAll(async () => {
  registry = await Registry.start({ tls: true, mutual: true });
});
afterAll(async () => {
  await registry?.close();
  rmSync(directory, { recursive: true });
});

const using = async (options: RegistriesOptions, use: (registries: Registries) => Promise<void>): Promise<void> => {
  const registries = openRegistries({ config: "/nowhere", hostsDirs: [], certsDirs: [], env: {}, ...options });
  try {
    await use(registries);
  } finally {
    registries.close();
  }
};

/** A registries.toml of these lines about one registry. */
const saying = (domain: string, lines: Readonly<Record<string, string>>): string => {
  const path = join(directory, `${crypto.randomUUID()}.toml`);
  const pairs = Object.entries(lines).map(([key, value]) => `${key} = "${value}"`);
  writeFileSync(path, [`[registry."${domain}"]`, ...pairs].join("\n"));
  return path;
};
/** The registry as it wants to be met. */
const trusted = (domain: string): string => saying(domain, { ca: registry.ca, ...registry.certificate });

const repository = (registries: Registries, domain: string): Repository =>
  registries.repository(parseReference(`${domain}/team/app`));

const roundTrip = async (there: Repository): Promise<void> => {
  const blob = random(1_000_000);
  await there.upload(sourceOf(blob));
  expect(Buffer.compare(await collect(there.blob(digestOf(blob), blob.length)), blob)).toBe(0);
};

test("a certificate of ours, by registries.toml; not without, nor with another authority, nor unverified", async () => {
  const { domain } = registry;
  await using({ config: trusted(domain) }, (registries) => roundTrip(repository(registries, domain)));
  const other = await Registry.start({ tls: true });
  try {
    for (const config of [saying(domain, { ca: registry.ca }), saying(domain, { ca: other.ca, ...registry.certificate })]) {
      await using({ config }, async (registries) => {
        await expect(repository(registries, domain).manifest("v1")).rejects.toMatchObject({ code: "registry_unreachable" });
      });
    }
  } finally {
    await other.close();
  }
});

test("a proxy leads to a registry that only it knows; its password is told nowhere", async () => {
  const proxy = await ConnectProxy.start();
  const domain = `registry.test:${new URL(registry.url).port}`;
  try {
    const config = trusted(domain);
    const env = { HTTPS_PROXY: `http://user:pass-word@${proxy.domain}` };
    await using({ config, env }, (registries) => roundTrip(repository(registries, domain)));
    expect(new Set(proxy.tunnels)).toEqual(new Set([domain]));
    expect(new Set(proxy.shown)).toEqual(new Set([`Basic ${btoa("user:pass-word")}`]));
    proxy.tunnels.length = 0;
    const settings = () => ({ insecure: [], mirrors: [], proxies: env });
    // nobody else knows the name
    await using({ config, settings }, (registries) => roundTrip(repository(registries, domain)));
    proxy.tunnels.length = 0;
    await using({ config, env: { ...env, NO_PROXY: ".test" } }, async (registries) => {
      await expect(repository(registries, domain).manifest("v1")).rejects.toMatchObject({ code: "registry_unreachable" });
    });
    expect(proxy.tunnels).toEqual([]);
    await proxy.close();
    await using({ config, env }, async (registries) => {
      const failure = await repository(registries, domain)
        .manifest("v1")
        .catch((error: Error) => error as Error);
      expect(failure).toMatchObject({ code: "registry_unreachable" });
      expect(String(failure)).not.toContain("pass-word");
    });
  } finally {
    await proxy.close();
  }
});

test("a server that speaks HTTP/2 alone is spoken to in HTTP/2", async () => {
  const bytes = manifestOf(random(3));
  const { cert, key } = { cert: join(registry.path, "crt"), key: join(registry.path, "key") };
  const protocols: string[] = [];
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    tls: { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") },
    http2: true,
    http1: false,
    fetch: (request) => {
      protocols.push(request.method);
      return new Response(bytes, { headers: { "Content-Type": MANIFEST } });
    },
  });
  try {
    const domain = `127.0.0.1:${server.port}`;
    await using({ config: saying(domain, { ca: registry.ca }) }, async (registries) => {
      const there = repository(registries, domain);
      for (const _ of [1, 2]) expect((await there.manifest("v1")).digest).toBe(digestOf(bytes));
      expect(protocols).toEqual(["GET", "GET"]);
    });
  } finally {
    await server.stop(true);
  }
});

test("certificates as containerd has them laid down", async () => {
  const { domain } = registry;
  const hosts = mkdtempSync(join(directory, "hosts-"));
  const at = join(hosts, domain.replace(/:(.*)/, "_$1_"));
  mkdirSync(at);
  const { cert, key } = registry.certificate;
  const write = (more: string): void =>
    writeFileSync(join(at, "hosts.toml"), `server = "${registry.url}"\nclient = [["${cert}", "${key}"]]\n${more}`);
  write(`ca = "${registry.ca}"`);
  await using({ hostsDirs: [hosts] }, async (registries) => {
    await roundTrip(repository(registries, domain));
    write("");
    await expect(repository(registries, domain).tags()).rejects.toMatchObject({ code: "registry_unreachable" });
    write("skip_verify = true");
    await roundTrip(repository(registries, domain));
  });
});

test("a body that stalls is taken up again; a server that only stalls is given up", async () => {
  const blob = random(300_000);
  let stalls = 1;
  let asked = 0;
  /** The first third, whatever was asked for, and then nothing more. */
  const stalling = (): Response => {
    let sent = false;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) return new Promise<void>(() => {});
        sent = true;
        controller.enqueue(blob.subarray(0, 100_000));
        return undefined;
      },
    });
    return new Response(stream);
  };
  await serving(
    (request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      asked++;
      if (stalls-- > 0) return stalling();
      const from = Number(/[0-9]+/.exec(request.headers.get("range")!)![0]);
      const headers = { "Content-Range": `bytes ${from}-${blob.length - 1}/${blob.length}` };
      return new Response(unsized(blob.subarray(from)), { status: 206, headers });
    },
    (domain) =>
      using({ timeouts: { stall: 200, pause: 5 } }, async (registries) => {
        const there = repository(registries, domain);
        expect(Buffer.compare(await collect(there.blob(digestOf(blob), blob.length)), blob)).toBe(0);
        expect(asked).toBe(2);
        [stalls, asked] = [100, 0];
        await expect(collect(there.blob(digestOf(blob), blob.length))).rejects.toMatchObject({
          code: "registry_unreachable",
          message: expect.stringMatching(/100000 of 300000 bytes came, then nothing in 5 tries \(.*nothing for 0.2 s/),
        });
        // One that brought bytes, five that did not.
        expect(asked).toBe(6);
      }),
  );
}, 20_000);

test("tags come over as many pages as there are", async () => {
  const asked: string[] = [];
  let last = "t7";
  await serving(
    (_request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      asked.push(url.search);
      const at = Number(url.searchParams.get("last") ?? -1);
      const next = at < 4 ? { Link: `</v2/team/app/tags/list?n=2&last=${at + 2}>; rel="next"` } : undefined;
      return Response.json({ tags: [`t${at + 1}`, next ? `t${at + 2}` : last] }, next ? { headers: next } : {});
    },
    (domain) =>
      using({}, async (registries) => {
        expect(await repository(registries, domain).tags()).toEqual(["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"]);
        expect(asked).toHaveLength(4);
        last = "..";
        await expect(repository(registries, domain).tags()).rejects.toMatchObject({ code: "registry_answer_invalid" });
      }),
  );
});

test("a registry that asks for patience is given it", async () => {
  const bytes = manifestOf(random(3));
  const answers = [
    () => new Response("", { status: 429, headers: { "Retry-After": new Date(Date.now() + 1000).toUTCString() } }),
    () => new Response("", { status: 503 }),
    () => new Response(bytes, { headers: { "Content-Type": MANIFEST } }),
  ];
  const times: number[] = [];
  await serving(
    (_request, url) => {
      if (url.pathname === "/v2/") return new Response("");
      times.push(Date.now());
      return answers.shift()?.() ?? new Response("", { status: 429, headers: { "Retry-After": "3600" } });
    },
    (domain) =>
      using({ timeouts: { pause: 5 } }, async (registries) => {
        await repository(registries, domain).manifest("v1");
        expect(times).toHaveLength(3);
        // An hour is too long to wait.
        await expect(repository(registries, domain).manifest("v1")).rejects.toMatchObject({ code: "registry_error" });
        expect(times).toHaveLength(4);
      }),
  );
}, 20_000);

test("what a registry writes is shown on one line, cut, without control characters", async () => {
  const words = `\u001b[2Jyou are hacked\r\n\u202e${"x".repeat(10_000)}`;
  await serving(
    (_request, url) =>
      url.pathname === "/v2/"
        ? new Response("")
        : Response.json({ errors: [{ code: "DENIED", message: words }] }, { status: 403 }),
    (domain) =>
      using({}, async (registries) => {
        const failure = await repository(registries, domain)
          .manifest("v1")
          .then(String, (error: Error) => error.message);
        expect(failure).toContain("DENIED: [2Jyou are hacked xxx");
        expect(failure).not.toMatch(/[\p{Cc}\p{Cf}]/u);
        expect(failure.length).toBeLessThan(500);
      }),
  );
});
