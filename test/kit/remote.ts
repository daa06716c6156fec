/** For tests of the registries' client: what is sent and fetched, and servers of our own on loopback. */
import { digestOf } from "../../src/images/digest.ts";
import type { BlobSource } from "../../src/images/remote/types.ts";

export const CONFIG = "application/vnd.oci.image.config.v1+json";
export const MANIFEST = "application/vnd.oci.image.manifest.v1+json";

export const random = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
};

/** `known`: whether digest and size are told beforehand. */
export const sourceOf = (bytes: Uint8Array, known = true): BlobSource => ({
  async *open() {
    for (let at = 0; at < bytes.length; at += 1 << 20) yield bytes.subarray(at, at + (1 << 20));
  },
  ...(known ? { digest: digestOf(bytes), size: bytes.length } : {}),
});

export const collect = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
};

export const manifestOf = (blob: Uint8Array): Uint8Array => {
  const descriptor = { mediaType: CONFIG, digest: digestOf(blob), size: blob.length };
  return new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: descriptor, layers: [] }));
};

/** A body without Content-Length. */
export const unsized = (bytes: Uint8Array): ReadableStream<Uint8Array> =>
  new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes.subarray(0, 1));
      await Bun.sleep(0);
      controller.enqueue(bytes.subarray(1));
      controller.close();
    },
  });

export type Answering = (request: Request, url: URL) => Response | Promise<Response>;

/** A server on loopback for as long as `use` takes. */
export const serving = async <T>(answer: Answering, use: (domain: string) => Promise<T>): Promise<T> => {
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 60,
    fetch: (request) => answer(request, new URL(request.url)),
  });
  try {
    return await use(`127.0.0.1:${server.port}`);
  } finally {
    await server.stop(true);
  }
};

/** Passes a request on to another server, as a reverse proxy does: 502 where that one is not reached. */
export const passOn = async (request: Request, url: URL, to: string): Promise<Response> => {
  const { body, method, headers } = request;
  const init = { method, headers, redirect: "manual", decompress: false, ...(body ? { body } : {}) } as RequestInit;
  const answer = await fetch(new URL(`${url.pathname}${url.search}`, to), init).catch(() => null);
  return answer
    ? new Response(answer.body, { status: answer.status, headers: answer.headers })
    : new Response("", { status: 502 });
};
