/** Docker's API and the command lines: what short commands cost, how fast output comes, what many clients cost. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Engine } from "../test/kit/engine.ts";
import { sh } from "../test/kit/images.ts";
import { type Contestant, interleave, median, repository, residentBytes, type Samples, time } from "./measure.ts";
import type { Row } from "./report.ts";
import { DOCKER_IMAGE } from "./rivals.ts";
import { type Field, onggi } from "./sections.ts";

const MIB = 1024 * 1024;

/** Rounds of commands that take some 20 ms, of which a server's part is one. */
const MANY = 100;

/** Docker's command line on either socket, and ours. */
function contestants({ onggi: engine, docker }: Field): Record<"onggi" | "docker on onggi" | "docker", CommandOf> | null {
  if (!engine || !docker) return null;
  const socket = `unix://${engine.run}/docker.sock`;
  return {
    onggi: (words) => onggi(engine, words),
    "docker on onggi": (words) => ({
      ...{ name: "docker on onggi", command: () => [docker.cli, ...words] },
      env: { ...docker.env, DOCKER_HOST: socket, DOCKER_API_VERSION: "" },
    }),
    docker: (words) => ({ name: "docker", command: () => [docker.cli, ...words], env: docker.env }),
  };
}

type CommandOf = (words: readonly string[]) => Contestant;

const missing = ({ onggiNote, dockerNote }: Field): Row[] => [
  { ...{ what: "clients", onggi: null, other: null, otherName: "docker", unit: "ms" }, note: `${onggiNote}; ${dockerNote}` },
];

const of = (samples: Samples, name: string): number => median(samples[name] ?? []);

/** `ps` and `inspect` where there are 200 containers, ten of which run; `version`. */
export async function shortCommands(field: Field, rounds: number): Promise<Row[]> {
  const by = contestants(field);
  if (!by) return missing(field);
  const idle = ["--network", "none"];
  for (let index = 0; index < 200; index += 1) {
    const words = [index < 10 ? "run" : "create", ...(index < 10 ? ["-d"] : []), "--name", `bench-list${index}`, ...idle];
    await field.onggi!.ok([...words, "busybox", "sleep", "100000"]);
    field.docker!.docker([...words, DOCKER_IMAGE, "sleep", "100000"]);
  }
  const rows: Row[] = [];
  const compare = async (words: readonly string[], ours: "onggi" | "docker on onggi", atMost: number): Promise<void> => {
    const samples = await interleave([by[ours](words), by.docker(words)], Math.max(rounds, MANY));
    const what = `${ours === "onggi" ? "onggi" : "docker"} ${words.join(" ")}, with 200 containers`;
    const figures = { onggi: of(samples, ours), other: of(samples, "docker"), otherName: "docker on dockerd" };
    rows.push({ what, ...figures, unit: "ms", samples, target: { atMost } });
  };
  await compare(["ps"], "docker on onggi", 1);
  await compare(["ps", "-a"], "docker on onggi", 1);
  await compare(["inspect", "bench-list0"], "docker on onggi", 1);
  await compare(["ps", "-a"], "onggi", 0.5);
  await compare(["inspect", "bench-list0"], "onggi", 1);
  const all = Array.from({ length: 200 }, (_, index) => `bench-list${index}`);
  await field.onggi!.ok(["rm", "-f", ...all], { timeout: 60_000 });
  field.docker!.docker(["rm", "-f", ...all]);
  return [...rows, await versionCost(field, rounds)];
}

/** Processor time of `version`, beside a compiled program that does nothing: Bun's own start. */
async function versionCost(field: Field, rounds: number): Promise<Row> {
  const source = join(field.base, "nothing.ts");
  const nothing = join(field.base, "nothing");
  await Bun.write(source, "process.exit(0);\n");
  sh([join(repository, "node_modules/.bin/bun"), "build", source, "--compile", "--bytecode", "--outfile", nothing]);
  const samples = await interleave(
    [
      { ...onggi(field.onggi!, ["version"]), processor: true },
      { name: "nothing", command: () => [nothing], processor: true },
    ],
    Math.max(rounds, MANY),
  );
  return {
    ...{ what: "version: processor time", onggi: of(samples, "onggi"), other: null, otherName: "", unit: "ms", samples },
    target: { absolute: 8 },
    note: `of which ${of(samples, "nothing").toFixed(2)} ms are Bun's own start`,
  };
}

/** Megabytes of output a second. */
export function output(field: Field, rounds: number): Row[] {
  const by = contestants(field);
  if (!by) return missing(field);
  const rows: Row[] = [];
  for (const { what, script, megabytes } of [
    { what: "run: yes | head -c 16M", script: "yes | head -c 16777216", megabytes: 16 },
    {
      what: "run: lines of 8,000 bytes",
      script: `yes $(head -c 7999 /dev/zero | tr '\\0' x) | head -c 134217728`,
      megabytes: 128,
    },
  ]) {
    const samples: Samples = { onggi: [], "docker on onggi": [], docker: [] };
    const words = ["run", "--rm", "--network", "none"];
    for (let round = 0; round < rounds; round += 1) {
      for (const name of ["onggi", "docker on onggi", "docker"] as const) {
        const image = name === "docker" ? DOCKER_IMAGE : "busybox";
        const { command, env } = by[name]([...words, image, "sh", "-c", script]);
        samples[name]!.push((megabytes * 1000) / time(command(round), { env: env! }));
      }
    }
    const target = megabytes === 16 ? { target: { atLeast: 2 } } : {};
    for (const ours of ["onggi", "docker on onggi"])
      rows.push({
        ...{
          what: `${what}, ${ours}`,
          onggi: of(samples, ours),
          other: of(samples, "docker"),
          otherName: "docker",
          unit: "MB/s",
        },
        ...{ samples, samplesIn: "MB/s", ...target },
      });
  }
  return rows;
}

/** A directory of 10,000 files of 500 bytes, copied into and out of a container that runs. */
export async function copies(field: Field, rounds: number): Promise<Row[]> {
  const by = contestants(field);
  if (!by) return missing(field);
  const idle = ["run", "-d", "--name", "bench-copies", "--network", "none"];
  await field.onggi!.ok([...idle, "busybox", "sleep", "100000"]);
  field.docker!.docker([...idle, DOCKER_IMAGE, "sleep", "100000"]);
  const files = join(field.base, "copies");
  for (let index = 0; index < 10_000; index += 1) await Bun.write(join(files, `${index % 100}`, `${index}`), "x".repeat(500));
  const rows: Row[] = [];
  const compare = async (what: string, ours: "onggi" | "docker on onggi", words: (place: string) => string[]): Promise<void> => {
    const inTurn = [ours, "docker" as const].map((name): Contestant => {
      const command = (round: number) => by[name](words(`${ours}-${name}${round}`.replaceAll(" ", "-"))).command(round);
      return { ...by[name]([]), command };
    });
    const samples = await interleave(inTurn, rounds, 1);
    const figures = { onggi: of(samples, ours), other: of(samples, "docker"), otherName: "docker" };
    rows.push({ what: `${what}, ${ours}`, ...figures, unit: "ms", samples });
  };
  for (const ours of ["onggi", "docker on onggi"] as const)
    await compare("cp in: 10,000 files", ours, (place) => ["cp", files, `bench-copies:/${place}`]);
  const out = join(field.base, "out-");
  await compare("cp out: 10,000 files", "docker on onggi", (place) => ["cp", `bench-copies:/${place}`, `${out}${place}`]);
  await field.onggi!.ok(["rm", "-f", "bench-copies"], { timeout: 60_000 });
  field.docker!.docker(["rm", "-f", "bench-copies"]);
  return rows;
}

const BRACE = 125;
const NEWLINE = 10;

/** Connections that read and drop what an engine sends; counts lines that end in a brace, as JSON's do. */
class Readers {
  readonly lines: number[] = [];
  readonly #last: number[] = [];
  readonly #sockets: Bun.Socket<number>[] = [];
  readonly #path: string;

  constructor(engine: Engine) {
    this.#path = `${engine.run}/docker.sock`;
  }

  async open(target: string): Promise<void> {
    const index = this.lines.push(0) - 1;
    this.#sockets.push(
      await Bun.connect<number>({
        unix: this.#path,
        data: index,
        socket: {
          data: ({ data }, chunk) => {
            for (const byte of chunk) {
              if (byte === NEWLINE && this.#last[data] === BRACE) this.lines[data]! += 1;
              this.#last[data] = byte;
            }
          },
        },
      }),
    );
    this.#sockets.at(-1)!.write(`GET ${target} HTTP/1.1\r\nHost: bench\r\n\r\n`);
  }

  close(): void {
    for (const socket of this.#sockets) socket.terminate();
  }
}

/** Milliseconds of processor time a process has taken. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A thousand followers of logs to which nothing is written, and 200 streams of stats, of fifty containers. */
export async function idleClients({ onggi: engine, onggiNote }: Field): Promise<Row[]> {
  const what = "1,000 log followers and 200 stats streams";
  const absent = { onggi: null, other: null, otherName: "" };
  if (!engine) return [{ what, ...absent, unit: "MiB", note: onggiNote }];
  const names = Array.from({ length: 50 }, (_, index) => `bench-idle${index}`);
  for (const name of names) await engine.ok(["run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "100000"]);
  const pid = await engine.pid();
  const readers = new Readers(engine);
  for (let index = 0; index < 1000; index += 1) await readers.open(`/containers/${names[index % 50]}/logs?follow=1&stdout=1`);
  for (let index = 0; index < 200; index += 1) await readers.open(`/containers/${names[index % 50]}/stats`);
  await Bun.sleep(3000);
  const before = processorTime(pid);
  await Bun.sleep(10_000);
  const percent = (processorTime(pid) - before) / 100;
  const memory = residentBytes(pid) / MIB;
  readers.close();
  await engine.ok(["rm", "-f", ...names], { timeout: 60_000 });
  return [
    { what: `${what}: engine's memory`, ...absent, onggi: memory, unit: "MiB", target: { absolute: 200 } },
    { what: `${what}: of a processor`, ...absent, onggi: percent, unit: "%", target: { absolute: 20 } },
  ];
}

/** A thousand containers are made, run and removed while a hundred clients listen. */
export async function eventListeners({ onggi: engine, onggiNote }: Field): Promise<Row[]> {
  const what = "events lost of 1,000 containers, 100 listeners";
  if (!engine) return [{ ...{ what, onggi: null, other: null, otherName: "", unit: "" }, note: onggiNote }];
  const readers = new Readers(engine);
  const filters = encodeURIComponent(JSON.stringify({ type: ["container"], event: ["create", "start", "die", "destroy"] }));
  for (let index = 0; index < 100; index += 1) await readers.open(`/events?filters=${filters}`);
  const from = performance.now();
  // not by the stopwatch: while it runs nobody would read
  const runSome = async (): Promise<void> => {
    for (let run = 0; run < 125; run += 1) await engine.ok(["run", "--rm", "--network", "none", "busybox", "true"]);
  };
  await Promise.all(Array.from({ length: 8 }, runSome));
  for (let tries = 0; tries < 200 && readers.lines.some((count) => count < 4000); tries += 1) await Bun.sleep(50);
  const ms = performance.now() - from;
  const lost = readers.lines.reduce((sum, count) => sum + Math.abs(4000 - count), 0);
  readers.close();
  const figures = { onggi: lost, other: null, otherName: "", unit: "", target: { absolute: 0 } };
  return [{ what, ...figures, note: `400,000 events in ${(ms / 1000).toFixed(1)} s` }];
}
