/** Uploads: in one stream, and in pieces where a registry wants or needs them, against Debian's docker-registry. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer } from "node:http";
import { digestOf } from "../src/images/digest.ts";
import { openRegistries } from "../src/images/remote/registries.ts";
import type { Repository } from "../src/images/remote/types.ts";
import { parseReference } from "../src/oci/reference.ts";
import { Registry } from "./kit/registry.ts";
import { type Answering, collect, passOn, random, serving, sourceOf } from "./kit/remote.ts";

const MIB = 1 << 20;
const timeouts = { pause: 5 };
const registries = openRegistries({ config: "/nowhere", hostsDirs: [], certsDirs: [], env: {}, timeouts });
let registry: Registry;

beforeAll(async () => {
  registry = await Registry.start();
});
afterAll(async () => {
  registries.close();
  await registry?.close();
});

const repository = (domain: string): Repository => registries.repository(parseReference(`${domain}/team/app`));

/** What is sent, as "PATCH 0-99"; a request that `change` answers is not passed on. */
const fronted = async (
  change: (request: Request, url: URL) => Response | null | Promise<Response | null>,
  use: (there: Repository, sent: string[]) => Promise<void>,
): Promise<void> => {
  const sent: string[] = [];
  const answer: Answering = async (request, url) => {
    const range = request.headers.get("content-range");
    if (request.method !== "HEAD" && url.pathname !== "/v2/") sent.push(`${request.method}${range === null ? "" : ` ${range}`}`);
    return (await change(request, url)) ?? passOn(request, url, registry.url);
  };
  await serving(answer, (domain) => use(repository(domain), sent));
};

const arrived = async (blob: Uint8Array): Promise<void> => {
  const found = await collect(repository(registry.domain).blob(digestOf(blob), blob.length));
  expect(Buffer.compare(found, blob)).toBe(0);
};

/** An answer to the begin of an upload that wants pieces of at least so many bytes. */
const wanting = (least: number) => async (request: Request, url: URL) => {
  if (request.method !== "POST") return null;
  const answer = await passOn(request, url, registry.url);
  answer.headers.set("OCI-Chunk-Min-Length", String(least));
  return answer;
};

test("a registry that names the least size of a piece gets pieces", async () => {
  const blob = random(20 * MIB + 7);
  await fronted(wanting(1000), async (there, sent) => {
    expect(await there.upload(sourceOf(blob, false))).toEqual({ digest: digestOf(blob), size: blob.length });
    const ranges = [`0-${8 * MIB - 1}`, `${8 * MIB}-${16 * MIB - 1}`, `${16 * MIB}-${blob.length - 1}`];
    expect(sent).toEqual(["POST", ...ranges.map((range) => `PATCH ${range}`), "PUT"]);
  });
  await arrived(blob);
  await fronted(wanting(9 * MIB), async (there, sent) => {
    await there.upload(sourceOf(random(10 * MIB)));
    expect(sent).toEqual(["POST", `PATCH 0-${9 * MIB - 1}`, `PATCH ${9 * MIB}-${10 * MIB - 1}`, "PUT"]);
  });
  await fronted(wanting(1 << 30), async (there) => {
    await expect(there.upload(sourceOf(random(10)))).rejects.toMatchObject({ code: "registry_answer_invalid" });
  });
  await fronted(wanting(1000), async (there, sent) => {
    expect((await there.upload(sourceOf(new Uint8Array(0), false))).size).toBe(0);
    expect(sent).toEqual(["POST", "PUT"]);
  });
});

test("what is too large at once goes in pieces, and in smaller ones", async () => {
  const blob = random(9 * MIB);
  const limit = (most: number) => async (request: Request) => {
    if (request.method !== "PATCH") return null;
    const size = (await request.clone().bytes()).length;
    return size > most ? new Response("", { status: 413 }) : null;
  };
  await fronted(limit(2 * MIB), async (there, sent) => {
    await there.upload(sourceOf(blob));
    // In one stream, in pieces of 8 MiB, in pieces of 1 MiB; what was begun before is deleted.
    expect(sent.slice(0, 6)).toEqual(["POST", "PATCH", "DELETE", "POST", `PATCH 0-${8 * MIB - 1}`, "DELETE"]);
    expect(sent.filter((each) => each.startsWith("PATCH "))).toHaveLength(1 + 9);
  });
  await arrived(blob);
  await fronted(limit(1000), async (there, sent) => {
    await expect(there.upload(sourceOf(blob))).rejects.toMatchObject({
      code: "registry_error",
      message: expect.stringContaining(`not even ${MIB} bytes at a time (413)`),
    });
    expect(sent.at(-1)).toBe("DELETE");
  });
}, 20_000);

test("a registry that is busy in the middle of an upload gets it again", async () => {
  const blob = random(MIB);
  const busy = [
    ["PATCH", 429],
    ["PUT", 503],
  ] as [string, number][];
  const refusing = async (request: Request): Promise<Response | null> => {
    if (busy[0]?.[0] !== request.method) return null;
    const [, status] = busy.shift()!;
    await request.bytes();
    return new Response("", { status, headers: { "Retry-After": "0" } });
  };
  await fronted(refusing, async (there, sent) => {
    await there.upload(sourceOf(blob));
    expect(sent).toEqual(["POST", "PATCH", "DELETE", "POST", "PATCH", "PUT", "DELETE", "POST", "PATCH", "PUT"]);
    busy.push(...Array.from({ length: 20 }, (): [string, number] => ["PATCH", 503]));
    await expect(there.upload(sourceOf(random(10)))).rejects.toMatchObject({
      code: "registry_error",
      message: expect.stringContaining("503"),
    });
  });
  await arrived(blob);
});

/** An upload as the specification has it: in memory, in pieces, and what has arrived of a piece stays. */
const resumable = (seen: string[], taken: Uint8Array[], breakAt: number): Answering => {
  let broken = false;
  const size = () => taken.reduce((sum, part) => sum + part.length, 0);
  return async (request, url) => {
    const range = request.headers.get("content-range");
    if (url.pathname !== "/v2/") seen.push(`${request.method}${range === null ? "" : ` ${range}`}`);
    const headers = { Location: "/upload", Range: `0-${Math.max(0, size() - 1)}` };
    if (request.method === "POST") return new Response("", { status: 202, headers: { ...headers, "OCI-Chunk-Min-Length": "1" } });
    if (request.method === "GET") return new Response(null, { status: url.pathname === "/upload" ? 204 : 200, headers });
    if (request.method !== "PATCH") return new Response("", { status: 201 });
    if (!range?.startsWith(`${size()}-`)) return new Response("", { status: 416, headers });
    const body = await request.bytes();
    taken.push(broken ? body : body.subarray(0, breakAt));
    const status = broken ? 202 : 502;
    broken = true;
    return new Response("", { status, headers });
  };
};

test("a piece of which a part has arrived goes on where it broke", async () => {
  const blob = random(10 * MIB);
  const seen: string[] = [];
  const taken: Uint8Array[] = [];
  await serving(resumable(seen, taken, 3 * MIB), (domain) => repository(domain).upload(sourceOf(blob)));
  const whole = `PATCH 0-${8 * MIB - 1}`;
  const rest = [`PATCH ${3 * MIB}-${8 * MIB - 1}`, `PATCH ${8 * MIB}-${10 * MIB - 1}`];
  expect(seen).toEqual(["POST", whole, whole, "GET", ...rest, "PUT"]);
  expect(Buffer.compare(Buffer.concat(taken), blob)).toBe(0);
});

test("an upload that the registry gives up for a broken piece begins again", async () => {
  const blob = random(10 * MIB);
  let broken = false;
  const breaking = async (request: Request, url: URL): Promise<Response | null> => {
    if (request.method === "POST") return wanting(1)(request, url);
    if (request.method !== "PATCH" || broken) return null;
    broken = true;
    // The registry gets 3 MiB of the piece; its client hears nothing of it.
    const part = (await request.bytes()).slice(0, 3 * MIB);
    const headers = { "content-range": `0-${part.length - 1}` };
    await passOn(new Request(request.url, { method: "PATCH", headers, body: part }), url, registry.url);
    return new Response("", { status: 502 });
  };
  await fronted(breaking, async (there, sent) => {
    await there.upload(sourceOf(blob));
    const whole = `PATCH 0-${8 * MIB - 1}`;
    expect(sent).toEqual(["POST", whole, whole, "DELETE", "POST", whole, `PATCH ${8 * MIB}-${10 * MIB - 1}`, "PUT"]);
  });
  await arrived(blob);
});

test("a registry that is restarted between pieces loses nothing", async () => {
  const other = await Registry.start();
  try {
    const blob = random(20 * MIB);
    let opened = 0;
    const source = {
      async *open() {
        opened++;
        yield blob.subarray(0, 12 * MIB);
        await other.down();
        await other.up();
        yield blob.subarray(12 * MIB);
      },
    };
    const answer: Answering = async (request, url) => {
      const passed = await passOn(request, url, other.url);
      if (request.method === "POST") passed.headers.set("OCI-Chunk-Min-Length", "1");
      return passed;
    };
    await serving(answer, async (domain) => {
      expect((await repository(domain).upload(source)).digest).toBe(digestOf(blob));
      expect(opened).toBe(1);
    });
    expect(await repository(other.domain).hasBlob(digestOf(blob))).toBe(blob.length);
  } finally {
    await other.close();
  }
}, 30_000);

test("a stream that breaks over and over goes in pieces in the end", async () => {
  const blob = random(10 * MIB);
  const seen: string[] = [];
  // Bun's own server cannot break a connection.
  const server = createServer((request, response) => {
    const range = request.headers["content-range"];
    seen.push(`${request.method}${range ? ` ${range}` : ""}`);
    if (request.method === "PATCH" && !range) {
      request.once("data", () => request.socket.destroy());
      return;
    }
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", async () => {
      const headers = request.headers as Record<string, string>;
      const body = request.method === "PATCH" ? { body: Buffer.concat(parts) } : {};
      const answer = await fetch(`${registry.url}${request.url}`, { method: request.method!, headers, ...body });
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.bytes()));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const { port } = server.address() as { port: number };
    await repository(`127.0.0.1:${port}`).upload(sourceOf(blob));

    expect(seen.filter((each) => each === "PATCH")).toHaveLength(3);
    expect(seen.slice(-3)).toEqual([`PATCH 0-${8 * MIB - 1}`, `PATCH ${8 * MIB}-${10 * MIB - 1}`, "PUT"]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  await arrived(blob);
}, 20_000);
