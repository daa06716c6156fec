/** The measurements themselves, one function per line of the target list. A side that is not there yields null and a note. */
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Docker } from "../test/kit/docker.ts";
import { type Engine, onggiCommand } from "../test/kit/engine.ts";
import { sh } from "../test/kit/images.ts";
import { pids } from "../test/kit/leaks.ts";
import { manyFiles } from "../test/kit/tar.ts";
import { type Contestant, interleave, median, privateBytes, residentBytes, type Samples, settle, time } from "./measure.ts";
import type { Row } from "./report.ts";
import { type Bundle, DOCKER_IMAGE, PODMAN_RUN, type Podman } from "./rivals.ts";

/** Who takes part. */
export interface Field {
  readonly onggi: Engine | null;
  /** Why onggi is missing. */
  readonly onggiNote: string;
  readonly docker: Docker | null;
  readonly dockerNote: string;
  readonly runc: Bundle | null;
  readonly podman: Podman | null;
  readonly base: string;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const onggi = (engine: Engine, words: readonly string[], name = "onggi"): Contestant => ({
  name,
  command: () => [...onggiCommand, ...words],
  env: { ...(process.env as Record<string, string>), ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run },
});
const docker = (daemon: Docker, words: readonly string[], name = "docker"): Contestant => ({
  name,
  command: () => [daemon.cli, ...words],
  env: daemon.env,
});

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);
const noteOf = (...notes: (string | false | null | undefined)[]): { note?: string } => {
  const text = notes.filter(Boolean).join("; ");
  return text ? { note: text } : {};
};

/** `run --rm --network none IMG true` against runc of the same root, docker and podman. */
export async function runTrue(field: Field, rounds: number): Promise<Row[]> {
  const words = ["run", "--rm", "--network", "none"];
  const contestants: Contestant[] = [];
  if (field.onggi) contestants.push(onggi(field.onggi, [...words, "busybox", "true"]));
  if (field.runc) contestants.push({ name: "runc", command: (round) => field.runc!.command(`bench${round}`) });
  if (field.docker) contestants.push(docker(field.docker, [...words, DOCKER_IMAGE, "true"]));
  if (field.podman)
    contestants.push({ name: "podman", command: () => field.podman!.command(["run", ...PODMAN_RUN, DOCKER_IMAGE, "true"]) });
  const samples = await interleave(contestants, rounds);
  const row = (otherName: string, target?: Row["target"]): Row => ({
    what: "run --rm true",
    ...{ onggi: of(samples, "onggi"), other: of(samples, otherName), otherName, unit: "ms", samples },
    ...(target ? { target } : {}),
    ...noteOf(!field.onggi && field.onggiNote, otherName === "docker" && !field.docker && field.dockerNote),
  });
  return [row("runc", { atMost: 0.8 }), row("docker", { atMost: 0.1 }), ...(field.podman ? [row("podman")] : [])];
}

/** `exec` of `true` in a running container. */
export async function execTrue(field: Field, rounds: number): Promise<Row[]> {
  const contestants: Contestant[] = [];
  if (field.onggi) {
    await field.onggi.ok(["run", "-d", "--name", "bench-exec", "busybox", "sleep", "100000"]);
    contestants.push(onggi(field.onggi, ["exec", "bench-exec", "true"]));
  }
  if (field.docker) {
    field.docker.docker(["run", "-d", "--name", "bench-exec", "--network", "none", DOCKER_IMAGE, "sleep", "100000"]);
    contestants.push(docker(field.docker, ["exec", "bench-exec", "true"]));
  }
  const samples = await interleave(contestants, rounds);
  await field.onggi?.ok(["rm", "-f", "bench-exec"]);
  field.docker?.docker(["rm", "-f", "bench-exec"]);
  return [
    {
      what: "exec true",
      ...{
        onggi: of(samples, "onggi"),
        other: of(samples, "docker"),
        otherName: "docker",
        unit: "ms",
        samples,
        target: { atMost: 0.2 },
      },
      ...noteOf(!field.onggi && field.onggiNote, !field.docker && field.dockerNote),
    },
  ];
}

/** Containers per second: `count` of them (run --rm), `width` at a time. */
export function throughput(field: Field, count: number, width: number, rounds: number): Row[] {
  const samples: Samples = { onggi: [], docker: [] };
  const words = ["run", "--rm", "--network", "none"];
  for (let round = 0; round < rounds; round += 1) {
    for (const side of round % 2 === 0 ? ["onggi", "docker"] : ["docker", "onggi"]) {
      const contestant =
        side === "onggi"
          ? field.onggi && onggi(field.onggi, [...words, "busybox", "true"])
          : field.docker && docker(field.docker, [...words, DOCKER_IMAGE, "true"]);
      if (!contestant) continue;
      samples[side]!.push(time(contestant.command(0), { env: contestant.env!, runs: count, width }));
    }
  }
  const rate = (name: string): number | null => {
    const ms = of(samples, name);
    return ms === null ? null : (count * 1000) / ms;
  };
  return [
    {
      what: `${count} containers, ${width} at a time`,
      ...{ onggi: rate("onggi"), other: rate("docker"), otherName: "docker", unit: "per s", samples, target: { atLeast: 8 } },
      ...noteOf(`median of ${rounds} batches`, !field.onggi && field.onggiNote, !field.docker && field.dockerNote),
    },
  ];
}

/** Private memory of the per-container process, and resident memory of the engine, with ten containers idle and with none. */
export async function memory(field: Field): Promise<Row[]> {
  const count = 10;
  const names = Array.from({ length: count }, (_, index) => `bench-idle${index}`);
  let shim: number | null = null;
  let engine: number | null = null;
  let dockerShim: number | null = null;
  let daemons: number | null = null;
  if (field.onggi) {
    for (const name of names) await field.onggi.ok(["run", "-d", "--name", name, "busybox", "sleep", "100000"]);
    await Bun.sleep(2000);
    shim = median(
      (await Promise.all(names.map(async (name) => (await field.onggi!.inspect(name)).State.Pid))).map((pid) =>
        privateBytes(parentOf(pid)),
      ),
    );
    await field.onggi.ok(["rm", "-f", ...names], { timeout: 60_000 });
    await Bun.sleep(3000);
    engine = residentBytes(await field.onggi.pid());
  }
  if (field.docker) {
    for (const name of names)
      field.docker.docker(["run", "-d", "--name", name, "--network", "none", DOCKER_IMAGE, "sleep", "100000"]);
    await Bun.sleep(2000);
    const containers = names.map((name) => Number(field.docker!.docker(["inspect", "-f", "{{.State.Pid}}", name])));
    dockerShim = median(containers.map((pid) => privateBytes(parentOf(pid))));
    field.docker.docker(["rm", "-f", ...names]);
    await Bun.sleep(3000);
    daemons = field.docker.pids.reduce((sum, pid) => sum + residentBytes(pid), 0);
  }
  return [
    {
      what: "private memory per idle container",
      ...{
        onggi: shim === null ? null : shim / KIB,
        other: dockerShim === null ? null : dockerShim / KIB,
        otherName: "containerd-shim",
        unit: "KiB",
      },
      target: { absolute: 1024 },
      ...noteOf(!field.onggi && field.onggiNote, `median of ${count} shims`),
    },
    {
      what: "engine's resident memory, idle",
      ...{
        onggi: engine === null ? null : engine / MIB,
        other: daemons === null ? null : daemons / MIB,
        otherName: "dockerd + containerd",
        unit: "MiB",
      },
      target: { atMost: 1 },
      ...noteOf(!field.onggi && field.onggiNote, !field.docker && field.dockerNote),
    },
  ];
}

const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);

/** An uncompressed layer of small files: onggi load, docker load, and the same bytes to one file with fsync. */
export async function loadFiles(field: Field, files: number, rounds: number): Promise<Row[]> {
  const directory = join(field.base, "layers");
  mkdirSync(directory, { recursive: true });
  const archive = join(directory, "archive.tar");
  const samples: Samples = { onggi: [], docker: [], "write + fsync": [] };
  for (let round = -1; round < rounds; round += 1) {
    // Another layer every round: what an engine already has it would not load.
    const { layer } = makeArchive(directory, archive, files, round + 2);
    const sides: [string, () => number][] = [
      ["write + fsync", () => time(["dd", `if=${layer}`, `of=${join(directory, "copy")}`, "bs=1M", "conv=fsync", "status=none"])],
    ];
    if (field.onggi) {
      const { command, env } = onggi(field.onggi, ["load", "-q", "-i", archive]);
      sides.push(["onggi", () => time(command(round), { env: env! })]);
    }
    if (field.docker)
      sides.push(["docker", () => time([field.docker!.cli, "load", "-q", "-i", archive], { env: field.docker!.env })]);
    for (let turn = 0; turn < sides.length; turn += 1) {
      const [name, run] = sides[(turn + round + sides.length) % sides.length]!;
      settle();
      const ms = run();
      if (round >= 0) samples[name]!.push(ms);
    }
    rmSync(join(directory, "copy"), { force: true });
  }
  rmSync(directory, { recursive: true });
  const row = (otherName: string, atMost: number, missing: string | false): Row => ({
    what: `load a layer of ${files} files`,
    ...{ onggi: of(samples, "onggi"), other: of(samples, otherName), otherName, unit: "ms", samples, target: { atMost } },
    ...noteOf(!field.onggi && field.onggiNote, missing),
  });
  return [row("docker", 0.25, !field.docker && field.dockerNote), row("write + fsync", 2, false)];
}

function makeArchive(directory: string, archive: string, files: number, salt: number): { layer: string } {
  const tree = join(directory, "tree");
  rmSync(tree, { recursive: true, force: true });
  mkdirSync(join(tree, "layer"), { recursive: true });
  const layer = join(tree, "layer/layer.tar");
  const hash = new Bun.CryptoHasher("sha256");
  const fd = openSync(layer, "w");
  for (const chunk of manyFiles(files, salt)) {
    hash.update(chunk);
    writeSync(fd, chunk);
  }
  closeSync(fd);
  const config = JSON.stringify({
    ...{
      architecture: process.arch === "arm64" ? "arm64" : "amd64",
      os: "linux",
      config: {},
      history: [{ created_by: `files ${salt}` }],
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${hash.digest("hex")}`] },
  });
  writeFileSync(join(tree, "config.json"), config);
  const manifest = [{ Config: "config.json", RepoTags: [`onggi-bench/files:${salt}`], Layers: ["layer/layer.tar"] }];
  writeFileSync(join(tree, "manifest.json"), JSON.stringify(manifest));
  sh(["tar", "--numeric-owner", "--owner=0", "--group=0", "-C", tree, "-cf", archive, "manifest.json", "config.json", "layer"]);
  return { layer };
}

/** Median of every stage that `run --trace` reports, in the order of the start. */
export async function stages(field: Field, rounds: number): Promise<{ stage: string; microseconds: number }[]> {
  if (!field.onggi) return [];
  const found = new Map<string, number[]>();
  for (let round = -2; round < rounds; round += 1) {
    const { stderr } = await field.onggi.onggi(["run", "--rm", "--network", "none", "--trace", "busybox", "true"]);
    if (round < 0) continue;
    for (const match of stderr.matchAll(/^(.+?)\s{2,}(\d+) us/gm)) {
      const values = found.get(match[1]!) ?? [];
      found.set(match[1]!, [...values, Number(match[2])]);
    }
  }
  return [...found].map(([stage, values]) => ({ stage, microseconds: median(values) }));
}

/** What any measurement here contains besides the thing measured: starting a process that does nothing. */
export function floors(rounds: number, base: string): Record<string, number> {
  const busybox = join(base, "true");
  copyFileSync("/bin/busybox", busybox);
  sh(["chmod", "755", busybox]);
  const spawn = Array.from({ length: rounds }, () => time([busybox]));
  const bun = Array.from({ length: rounds }, () => {
    const from = performance.now();
    Bun.spawnSync([busybox], { stdout: "ignore" });
    return performance.now() - from;
  });
  return {
    "posix_spawn of a static binary (ms)": median(spawn),
    "the same by Bun.spawnSync (ms)": median(bun),
    "processes on the machine": pids().length,
  };
}
