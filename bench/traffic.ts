/**
 * What containers' networks let through: bytes of one TCP connection (iperf3) and requests over sixteen that stay open (wrk, nginx),
 * by the ways a packet can go, next to a dockerd. Each engine has a network namespace for its host. Servers and clients are
 * containers of the engine that is measured; a client on the host is a process in that namespace.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { dockerUnavailable, startDocker } from "../test/kit/docker.ts";
import { eventually, onggiCommand, startEngine } from "../test/kit/engine.ts";
import { cached, makeBusyboxTree, sh } from "../test/kit/images.ts";
import { Netns } from "../test/kit/netns.ts";
import { median, type Samples } from "./measure.ts";
import type { Row } from "./report.ts";

export const IMAGE = "onggi-bench/traffic:latest";
export const PROGRAMS = ["/usr/bin/iperf3", "/usr/bin/wrk", "/usr/sbin/nginx"];
/** Bytes of one measurement by iperf3: a tenth of a second to one. */
const VOLUME = "600M";
const SECONDS = 1;
const CONNECTIONS = 16;
export const [BYTES_PORT, REQUESTS_PORT] = [5201, 8080];
const HOST = "192.0.2.1";

const NGINX = `user root;
worker_processes 1;
error_log stderr crit;
pid /tmp/nginx.pid;
events { worker_connections 512; }
http {
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;
  server { listen ${REQUESTS_PORT}; location / { return 200 "${"x".repeat(1024)}"; } }
}
`;

/** A tar of busybox, iperf3, wrk and nginx with the libraries they want. */
export const imageTar = (): string =>
  cached("traffic.tar", (file) => {
    const tree = `${file}.tree`;
    makeBusyboxTree(tree);
    const libraries = PROGRAMS.flatMap((program) =>
      [...sh(["ldd", program]).matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!),
    );
    for (const path of [...PROGRAMS, ...libraries]) {
      mkdirSync(join(tree, dirname(path)), { recursive: true });
      cpSync(path, join(tree, path), { dereference: true });
    }
    for (const directory of ["etc/nginx", "var/log/nginx"]) mkdirSync(join(tree, directory), { recursive: true });
    writeFileSync(join(tree, "etc/nginx/nginx.conf"), NGINX);
    chmodSync(tree, 0o755);
    sh(["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-cf", file, "."]);
    rmSync(tree, { recursive: true });
  });

/** An engine with a server, of which both ports are published, and a client beside it. */
export interface Side {
  readonly name: string;
  /** Its command line, and what it is to be run with. */
  readonly words: readonly string[];
  readonly env: Record<string, string>;
  readonly host: Netns;
  /** The server's own address. */
  readonly server: string;
}

/** From where, and to which address. */
export interface Way {
  readonly what: string;
  readonly from: "host" | "container";
  to(side: Side): string;
}

const ways: readonly Way[] = [
  { what: "container to container", from: "container", to: ({ server }) => server },
  { what: "the host to 127.0.0.1, published", from: "host", to: () => "127.0.0.1" },
  { what: "the host to its own address, published", from: "host", to: () => HOST },
  { what: "container to the host's address, published", from: "container", to: () => HOST },
];

export const SERVER = ["sh", "-c", "iperf3 -s -D; exec nginx -g 'daemon off;'"];
const PUBLISHED = [BYTES_PORT, REQUESTS_PORT].flatMap((port) => ["-p", `${port}:${port}`]);

function makeHost(name: string): Netns {
  const host = new Netns(name);
  host.bridge("lan", `${HOST}/24`);
  return host;
}

/** Loads the image and starts both containers. */
async function prepare(name: string, words: readonly string[], env: Record<string, string>, host: Netns): Promise<Side> {
  const call = (...args: string[]): string => sh([...words, ...args], { env }).trim();
  call("import", imageTar(), IMAGE);
  call("network", "create", "bench");
  const run = ["run", "-d", "--network", "bench"];
  call(...run, "--name", "server", ...PUBLISHED, IMAGE, ...SERVER);
  call(...run, "--name", "client", IMAGE, "sleep", "100000");
  const server = call("inspect", "-f", "{{.NetworkSettings.Networks.bench.IPAddress}}", "server");
  await eventually(`${name}'s server answers`, () => {
    const asked = Bun.spawnSync([...host.enter, "curl", "-fso", "/dev/null", `http://${server}:${REQUESTS_PORT}/`]);
    return asked.exitCode === 0;
  });
  return { name, words, env, host, server };
}

function client({ words, env, host }: Side, from: Way["from"], command: readonly string[]): string {
  if (from === "host") return sh([...host.enter, ...command]);
  return sh([...words, "exec", "client", ...command], { env });
}

/** Of what `iperf3 -J` prints. */
interface Iperf {
  readonly end: { readonly sum_received?: { readonly bits_per_second: number } };
  readonly error?: string;
}

/** Gigabits per second that the server has got. */
function bytes(side: Side, way: Way): number {
  const command = ["iperf3", "-J", "-n", VOLUME, "-p", String(BYTES_PORT), "-c", way.to(side)];
  for (let tries = 0; ; tries += 1) {
    const { end, error } = JSON.parse(client(side, way.from, command)) as Iperf;
    if (end.sum_received) return end.sum_received.bits_per_second / 1e9;
    // The server may not have finished with the one before.
    if (tries === 10) throw new Error(`${side.name}, ${way.what}: iperf3: ${error}`);
    Bun.sleepSync(100);
  }
}

/** Answers per second. */
function requests(side: Side, way: Way): number {
  const flags = ["-t", "1", "-c", String(CONNECTIONS), "-d", String(SECONDS)];
  const text = client(side, way.from, ["wrk", ...flags, `http://${way.to(side)}:${REQUESTS_PORT}/`]);
  const [, rate] = /^Requests\/sec:\s+([\d.]+)/m.exec(text) ?? [];
  if (rate === undefined || /Socket errors|Non-2xx/.test(text)) throw new Error(`${side.name}, ${way.what}: ${text}`);
  return Number(rate);
}

export async function traffic(rounds: number): Promise<Row[]> {
  const missing = PROGRAMS.filter((program) => !existsSync(program)).map((program) => basename(program));
  if (missing.length > 0)
    return [{ ...row("traffic", "", {}), note: `${missing.join(", ")}: not installed (scripts/setup test)` }];
  const [ours, theirs] = [makeHost("onggi"), makeHost("docker")];
  const engine = startEngine({ under: ours.enter });
  const daemon = dockerUnavailable() ? null : await startDocker({ bridge: true, within: () => theirs.enter });
  try {
    const env = { ...(process.env as Record<string, string>), ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run };
    const sides = [await prepare("onggi", [...ours.enter, ...onggiCommand], env, ours)];
    if (daemon) sides.push(await prepare("docker", [daemon.cli], daemon.env, theirs));
    return rowsOf(sides, ways, rounds);
  } finally {
    await daemon?.stop();
    await engine.close();
    for (const host of [ours, theirs]) host.close();
  }
}

/** TCP and requests, by each way. */
export function rowsOf(sides: readonly Side[], ways: readonly Way[], rounds: number): Row[] {
  const kinds = [
    ["TCP", "Gbit/s", bytes],
    ["requests", "1/s", requests],
  ] as const;
  return kinds.flatMap(([what, unit, measure]) =>
    ways.map((way) => {
      const samples = alternate(sides, rounds, (side) => measure(side, way));
      return row(`${what}: ${way.what}`, unit, samples);
    }),
  );
}

/** As `interleave`, of figures that the commands themselves print. */
function alternate(sides: readonly Side[], rounds: number, measure: (side: Side) => number): Samples {
  const samples: Samples = Object.fromEntries(sides.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < sides.length; turn += 1) {
      const side = sides[(turn + round) % sides.length]!;
      samples[side.name]!.push(measure(side));
    }
  }
  return samples;
}

const row = (what: string, unit: string, samples: Samples): Row => ({
  what,
  onggi: samples.onggi ? median(samples.onggi) : null,
  other: samples.docker ? median(samples.docker) : null,
  otherName: "docker",
  unit,
  samples,
  samplesIn: unit,
  target: { atLeast: 1 },
});
