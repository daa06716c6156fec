#!/usr/bin/env bun
/**
 * `bun bench/lazy.ts`: would it pay to start a container before its image's layers are here? How much of an image of Debian, Node and
 * npm some commands read, by what the page cache holds of the layers' tars afterwards (mincore(2), so with the kernel's read-ahead),
 * against how long a pull takes at several bandwidths, measured through a proxy that is as slow.
 */
import { dlopen, FFIType, ptr } from "bun:ffi";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Engine, gone, startEngine } from "../test/kit/engine.ts";
import { debianTar, sh } from "../test/kit/images.ts";
import { Registry } from "../test/kit/registry.ts";
import { median, time } from "./measure.ts";
import { onggi } from "./sections.ts";

const MB = 1e6;
const PAGE = 4096;
const CHUNK = 2 ** 20;
const ROUND_TRIP_MS = 20;
const ROUNDS = 3;
const COMMANDS: readonly (readonly string[])[] = [
  ["true"],
  ["bash", "-c", "id"],
  ["apt", "list"],
  ["node", "-e", "0"],
  ["npm", "--version"],
];
const MBITS = [100, 1000, 10_000];

const { symbols: libc } = dlopen("libc.so.6", {
  mincore: { args: [FFIType.ptr, FFIType.u64, FFIType.ptr], returns: FFIType.i32 },
});

interface Read {
  /** Bytes of pages, stretches of adjacent pages, and bytes of the chunks of 1 MiB that they lie in. */
  bytes: number;
  stretches: number;
  chunks: number;
}

/** What the page cache holds of files. */
function cached(files: readonly string[]): Read {
  const read = { bytes: 0, stretches: 0, chunks: 0 };
  for (const file of files) {
    const { size } = statSync(file);
    if (size === 0) continue;
    const map = Bun.mmap(file);
    const pages = new Uint8Array(Math.ceil(size / PAGE));
    if (libc.mincore(ptr(map), size, ptr(pages)) !== 0) throw new Error(`mincore of ${file} failed`);
    const chunks = new Set<number>();
    pages.forEach((page, at) => {
      if ((page & 1) === 0) return;
      read.bytes += PAGE;
      if (at === 0 || (pages[at - 1]! & 1) === 0) read.stretches += 1;
      chunks.add(Math.floor((at * PAGE) / CHUNK));
    });
    read.chunks += chunks.size * CHUNK;
  }
  return read;
}

const drop = (files: readonly string[]): void => {
  sh(["sync"]);
  for (const file of files) sh(["dd", `of=${file}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
};

/** Passes connections on to a registry, what comes back no faster than asked for. */
function slowRegistry(port: number, mbits: number) {
  const perMs = (mbits * 1e6) / 8 / 1000;
  let next = performance.now();
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const { pathname, search } = new URL(request.url);
      await Bun.sleep(ROUND_TRIP_MS);
      const answer = await fetch(`http://127.0.0.1:${port}${pathname}${search}`, {
        method: request.method,
        headers: request.headers,
      });
      const { body } = answer;
      if (!body) return answer;
      const slowed = async function* () {
        for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
          next = Math.max(next, performance.now() - 5) + chunk.length / perMs;
          const wait = next - performance.now();
          if (wait > 1) await Bun.sleep(wait);
          yield chunk;
        }
      };
      return new Response(slowed() as unknown as ReadableStream, { status: answer.status, headers: answer.headers });
    },
  });
  return { domain: `127.0.0.1:${server.port}`, stop: () => server.stop(true) };
}

async function makeImage(engine: Engine, base: string): Promise<void> {
  const tree = join(base, "tree");
  sh(["mkdir", "-p", `${tree}/usr/bin`, `${tree}/usr/lib`]);
  const node = sh(["readlink", "-f", Bun.which("node")!]).trim();
  sh(["cp", node, `${tree}/usr/bin/node`]);
  sh(["cp", "-a", join(node, "../../lib/node_modules"), `${tree}/usr/lib/`]);
  sh(["ln", "-s", "../lib/node_modules/npm/bin/npm-cli.js", `${tree}/usr/bin/npm`]);
  await engine.ok(["import", "-q", debianTar(), "lazy:debian"], { timeout: 120_000 });
  await engine.ok(["create", "--name", "maker", "-v", `${tree}:/from:ro`, "lazy:debian", "cp", "-a", "/from/.", "/"]);
  await engine.ok(["start", "-a", "maker"], { timeout: 60_000 });
  await engine.ok(["commit", "maker", "lazy:1"], { timeout: 60_000 });
  await engine.ok(["rm", "maker"]);
  rmSync(tree, { recursive: true });
}

const base = mkdtempSync(join(tmpdir(), "onggi-lazy-"));
const registry = await Registry.start();
const engine = startEngine();
try {
  await makeImage(engine, base);
  const source = `${registry.domain}/lazy:1`;
  await engine.ok(["tag", "lazy:1", source]);
  await engine.ok(["push", "-q", source], { timeout: 300_000 });
  const [{ Id: id, RootFS: root, Size: size }] = JSON.parse(await engine.ok(["image", "inspect", "lazy:1"]));
  const blobs = (root.Layers as string[]).map((digest) => join(engine.root, "images/blobs/sha256", digest.slice(7)));
  const index = readdirSync(join(engine.root, "images/index")).filter((name) => name.startsWith(id.slice(7)));
  const files = [...blobs, ...index.map((name) => join(engine.root, "images/index", name))];
  const accept = "application/vnd.oci.image.manifest.v1+json";
  const manifest = (await (await fetch(`${registry.url}/v2/lazy/manifests/1`, { headers: { accept } })).json()) as {
    layers: { size: number }[];
  };
  const compressed = manifest.layers.reduce((sum, layer) => sum + layer.size, 0);
  console.log(
    `image: ${(size / MB).toFixed(0)} MB, ${(compressed / MB).toFixed(0)} MB as gzip, index ${(statSync(files.at(-1)!).size / MB).toFixed(1)} MB`,
  );

  const pulls = new Map<number, number>();
  for (const mbits of MBITS) {
    const samples: number[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const slow = slowRegistry(Number(registry.domain.split(":")[1]), mbits);
      const other = startEngine();
      await other.ok(["ps"]);
      const { command, env } = onggi(other, ["pull", "-q", `${slow.domain}/lazy:1`]);
      // The proxy is in this process: the stopwatch, which waits, would stop it.
      const begun = performance.now();
      const child = Bun.spawn([...command(round)], { env: env!, stdout: "ignore" });
      if ((await child.exited) !== 0) throw new Error("the pull failed");
      samples.push(performance.now() - begun);
      await other.close();
      slow.stop();
    }
    pulls.set(mbits, median(samples));
    console.log(`pull at ${mbits} Mbit/s: ${(median(samples) / 1000).toFixed(2)} s`);
  }

  console.log(
    `\nreads of the image, and seconds until the command has ended: lazily (bandwidth alone ... with ${ROUND_TRIP_MS} ms for each stretch), and with a pull`,
  );
  for (const words of COMMANDS) {
    const pid = await engine.pid();
    await engine.ok(["engine", "stop"]);
    await gone(pid);
    drop(files);
    await engine.ok(["ps"]);
    const { command, env } = onggi(engine, ["run", "--rm", "lazy:1", ...words]);
    const cold = time(command(0), { env: env! });
    const { bytes, stretches, chunks } = cached(files);
    const warm = time(command(0), { env: env! });
    const part = (of: number): string => `${(of / MB).toFixed(1)} MB (${((100 * of) / size).toFixed(0)} %)`;
    const times = MBITS.map((mbits) => {
      const transfer = (bytes * (compressed / size) * 8) / (mbits * 1000);
      const pull = pulls.get(mbits)! + warm;
      return `${mbits} Mbit/s: ${((transfer + warm) / 1000).toFixed(2)} ... ${((transfer + stretches * ROUND_TRIP_MS + warm) / 1000).toFixed(2)} | ${(pull / 1000).toFixed(2)}`;
    });
    console.log(
      `${words.join(" ")}: ${part(bytes)} in ${stretches} stretches, ${part(chunks)} in chunks of 1 MiB; ${cold.toFixed(0)} ms from disk, ${warm.toFixed(0)} ms again`,
    );
    for (const line of times) console.log(`    ${line}`);
  }
} finally {
  await registry.close();
  await engine.close();
  rmSync(base, { recursive: true, force: true });
}
