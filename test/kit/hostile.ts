/**
 * A registry that lies: HTTP/1.1 on loopback, spoken by hand, so that an answer can be of another length than it tells, break off,
 * drip or fall silent. It serves what it is given and notes what it is asked; each test has repositories of its own.
 *
 *     const registry = HostileRegistry.start();
 *     const { name, manifest } = registry.image("team/app", imageOf([tar]));
 *     registry.answers.set(`team/app/blobs/${digest}`, { body: "other bytes" });
 */
import { createServer, type Server, type Socket } from "node:net";
import type { ImageParts } from "../images/archives.ts";
import { sha256 } from "./registry.ts";

export interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** All of it, or pieces as they are sent. */
  readonly body?: Uint8Array | string | (() => Iterable<Uint8Array> | AsyncIterable<Uint8Array>);
  /** What Content-Length tells; absent: the truth, of pieces nothing: the end of the connection is the end of the body. */
  readonly length?: number;
  /** The connection stays open after the body, and nothing comes. */
  readonly silent?: boolean;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly [more: string]: unknown;
}

const kind = (type: string): string => `application/vnd.oci.image.${type}`;
export const types = {
  index: kind("index.v1+json"),
  manifest: kind("manifest.v1+json"),
  config: kind("config.v1+json"),
  layer: kind("layer.v1.tar"),
} as const;

export class HostileRegistry {
  readonly domain: string;
  /** By path below /v2/, without its query: "team/app/manifests/1". What is not there is 404. */
  readonly answers = new Map<string, Answer | ((range: string | null) => Answer)>();
  /** Paths it was asked for. */
  readonly asked: string[] = [];
  /** Bytes of bodies it has sent. */
  sent = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();

  private constructor(server: Server, domain: string) {
    this.#server = server;
    this.domain = domain;
    server.on("connection", (socket: Socket) => this.#serve(socket));
  }

  static start(): Promise<HostileRegistry> {
    const server = createServer();
    return new Promise((resolve, reject) => {
      server.on("error", reject);
      server.listen(0, "127.0.0.1", () => {
        const address = server.address() as { port: number };
        resolve(new HostileRegistry(server, `127.0.0.1:${address.port}`));
      });
    });
  }

  /** Connections that are open. */
  get connections(): number {
    return this.#open.size;
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  blob(repository: string, data: Uint8Array | string, mediaType: string, answer: Answer = {}): Descriptor {
    const digest = sha256(data);
    this.answers.set(`${repository}/blobs/${digest}`, { body: data, ...answer });
    return { mediaType, digest, size: Buffer.byteLength(data) };
  }

  /** A manifest or index under its digest, and under a tag where one is given. */
  document(repository: string, tag: string | null, value: { mediaType: string } & Record<string, unknown>): Descriptor {
    const text = JSON.stringify(value);
    const answer = { headers: { "Content-Type": value.mediaType }, body: text };
    const digest = sha256(text);
    for (const name of tag === null ? [digest] : [digest, tag]) this.answers.set(`${repository}/manifests/${name}`, answer);
    return { mediaType: value.mediaType, digest, size: Buffer.byteLength(text) };
  }

  /** An honest image, tag "1"; what is told of it can be changed before it is served. */
  image(
    repository: string,
    { config, layers }: ImageParts,
    pack: (layer: Buffer, position: number) => Uint8Array = (layer) => Bun.gzipSync(new Uint8Array(layer)),
    change: (manifest: { config: Descriptor; layers: Descriptor[] }) => Record<string, unknown> = (manifest) => manifest,
  ): { name: string; config: Descriptor; layers: Descriptor[]; manifest: Descriptor } {
    const gzip = `${types.layer}+gzip`;
    const packed = layers.map((layer, position) => this.blob(repository, pack(layer, position), gzip));
    const configuration = this.blob(repository, config, types.config);
    const changed = change({ config: configuration, layers: packed });
    const manifest = this.document(repository, "1", { schemaVersion: 2, mediaType: types.manifest, ...changed });
    return { name: `${this.domain}/${repository}:1`, config: configuration, layers: packed, manifest };
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    socket.on("close", () => this.#open.delete(socket));
    socket.on("error", () => {});
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      // TLS, which it does not speak: a record of a handshake (RFC 8446, section 5.1).
      if (head === "" && chunk[0] === 22) socket.destroy();
      head += chunk.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const request = head.slice(0, end);
      head = head.slice(end + 4);
      void this.#answer(socket, request).catch(() => socket.destroy());
    });
  }

  async #answer(socket: Socket, request: string): Promise<void> {
    const path = decodeURIComponent(request.split(" ")[1] ?? "").replace(/^\/v2\/|\?.*$/g, "");
    this.asked.push(path);
    const found = path === "" ? {} : (this.answers.get(path) ?? { status: 404 });
    const range = /^range: *(.*)$/im.exec(request)?.[1]?.trim() ?? null;
    const { status = 200, headers = {}, body = "", length, silent } = typeof found === "function" ? found(range) : found;
    const told = length ?? (typeof body === "function" ? null : Buffer.byteLength(body));
    const lines = Object.entries({ ...headers, ...(told === null ? {} : { "Content-Length": told }), Connection: "close" });
    socket.write(`HTTP/1.1 ${status} It\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`);
    for await (const piece of typeof body === "function" ? body() : [Buffer.from(body)]) {
      if (socket.destroyed) return;
      this.sent += piece.length;
      if (!socket.write(piece)) await new Promise((resolve) => socket.once("drain", resolve).once("close", resolve));
    }
    if (!silent) socket.end();
  }
}
