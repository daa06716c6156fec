#!/usr/bin/env bun
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, release, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type Docker, dockerUnavailable, startDocker } from "../test/kit/docker.ts";
import { type Engine, onggiCommand, startEngine } from "../test/kit/engine.ts";
import { bootstrapBusybox, busyboxArchive } from "../test/kit/images.ts";
/**
 * `make bench`: onggi against Debian's runc, crun, docker.io and podman on this machine, as ratios; see README.md here.
 *
 *     bun bench/run.ts [--rounds N] [--only run,exec,throughput,clients,networks,traffic,across,publish,memory,load,images,runtime,dns,cni,stages] [--files N] [--json FILE]
 *
 * Prints the table and writes every sample to build/bench.json. Exits with 0 whether targets are met or not.
 */
import { across } from "./across.ts";
import * as clients from "./clients.ts";
import { cni } from "./cni.ts";
import * as dns from "./dns.ts";
import * as images from "./images.ts";
import { repository } from "./measure.ts";
import { networks } from "./networks.ts";
import { publishing } from "./publish.ts";
import { kernelFloors, met, type Report, type Row, spread, table } from "./report.ts";
import { podman, runcBundle } from "./rivals.ts";
import { ociRuntime } from "./runtime.ts";
import * as sections from "./sections.ts";
import * as store from "./store.ts";
import { traffic } from "./traffic.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "30" },
    only: {
      type: "string",
      default: "run,exec,throughput,clients,networks,traffic,across,publish,memory,load,images,runtime,dns,cni,stages",
    },
    files: { type: "string", default: "20000" },
    json: { type: "string", default: join(repository, "build/bench.json") },
  },
});
const rounds = Number(values.rounds);
const wanted = new Set(values.only.split(","));

const base = mkdtempSync(join(tmpdir(), "onggi-bench-"));
const closing: (() => unknown)[] = [() => rmSync(base, { recursive: true, force: true })];
try {
  const { field, versions } = await assemble();
  const rows: Row[] = [];
  const measure = async (name: string, section: () => Row[] | Promise<Row[]>): Promise<void> => {
    if (!wanted.has(name)) return;
    process.stderr.write(`bench: ${name} ...\n`);
    rows.push(...(await section()));
  };
  const floors = sections.floors(rounds, base);
  await measure("run", () => sections.runTrue(field, rounds));
  await measure("exec", () => sections.execTrue(field, rounds));
  await measure("throughput", () => sections.throughput(field, 50, 8, Math.max(3, Math.round(rounds / 6))));
  await measure("clients", async () => [
    ...(await clients.shortCommands(field, rounds)),
    ...clients.output(field, Math.max(3, Math.round(rounds / 10))),
    ...(await clients.copies(field, Math.max(3, Math.round(rounds / 6)))),
    ...(await clients.idleClients(field)),
    ...(await clients.eventListeners(field)),
  ]);
  await measure("networks", () => networks(field, rounds));
  await measure("traffic", () => traffic(Math.max(3, Math.round(rounds / 8))));
  await measure("across", () => across(Math.max(3, Math.round(rounds / 8))));
  await measure("publish", () => publishing(rounds));
  await measure("memory", () => sections.memory(field));
  await measure("load", () => sections.loadFiles(field, Number(values.files), rounds));
  await measure("images", async () => {
    const few = Math.max(3, Math.round(rounds / 6));
    return [
      ...(await images.pull(field, "gzip", few)),
      ...(await images.pull(field, "zstd", few)),
      ...(await images.pushAndSave(field, few)),
      ...(await store.mount(base, rounds)),
      ...(await store.manyImages(rounds)),
    ];
  });
  await measure("runtime", () => ociRuntime(base, rounds));
  await measure("dns", () => dns.names(base, Math.max(3, Math.round(rounds / 6))));
  await measure("cni", () => cni(field, rounds));
  const stages = wanted.has("stages") ? await sections.stages(field, rounds) : [];
  print({ machine: { ...machine(), ...versions }, rows, stages, floors });
} finally {
  // One that cannot be ended must not keep the others running.
  for (const close of closing.reverse()) {
    try {
      await close();
    } catch (error) {
      console.error(`bench: at the end: ${error instanceof Error ? error.message : error}`);
    }
  }
}

async function assemble(): Promise<{ field: sections.Field; versions: Record<string, string> }> {
  const versions: Record<string, string> = { bun: Bun.version };
  const runc = existsSync("/usr/sbin/runc") ? runcBundle(base) : null;
  if (runc) versions.runc = runc.version;
  if ([...wanted].every((name) => ["runtime", "dns", "traffic", "across", "publish"].includes(name)))
    return { field: nobody(runc), versions };
  let engine: Engine | null = null;
  let onggiNote = "";
  try {
    const started = startEngine();
    closing.push(() => rmSync(started.base, { recursive: true, force: true }));
    await bootstrapBusybox(started);
    engine = started;
    closing.push(() => started.close());
    versions.onggi = await started.ok(["version", "--format", "{{.Client.Version}}"]).catch(() => "unknown");
  } catch (error) {
    onggiNote = `onggi does not run: ${(error instanceof Error ? error.message : String(error)).split("\n")[0]}`;
  }
  let daemon: Docker | null = null;
  let dockerNote = dockerUnavailable() ?? "";
  if (!dockerNote) {
    try {
      const started = await startDocker();
      closing.push(() => started.stop());
      started.docker(["load", "-q", "-i", busyboxArchive()]);
      daemon = started;
      versions.docker = started.version;
    } catch (error) {
      dockerNote = `docker does not run: ${(error instanceof Error ? error.message : String(error)).split("\n").pop()}`;
    }
  }
  const rival = wanted.has("run") || wanted.has("images") ? podman(base) : "not asked for";
  if (typeof rival === "string") process.stderr.write(`bench: without podman (${rival})\n`);
  else {
    versions.podman = rival.version;
    closing.push(() => rival.close());
  }
  const field = {
    onggi: engine,
    onggiNote,
    docker: daemon,
    dockerNote,
    runc,
    podman: typeof rival === "string" ? null : rival,
    base,
  };
  return { field, versions };
}

/** Engines that no section asks for are not started. */
function nobody(runc: sections.Field["runc"]): sections.Field {
  const note = "not asked for";
  return { ...{ onggi: null, onggiNote: note, docker: null, dockerNote: note, podman: null }, runc, base };
}

function machine(): Record<string, string | number> {
  const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? process.arch;
  return {
    kernel: release(),
    cpu: model,
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    rounds,
    command: onggiCommand.join(" ").replaceAll(`${repository}/`, ""),
  };
}

function print(report: Report): void {
  console.log(
    `\n${Object.entries(report.machine)
      .map(([key, value]) => `${key} ${value}`)
      .join(", ")}\n`,
  );
  console.log(table(report.rows));
  console.log(`\nspread\n${spread(report.rows)}`);
  console.log(
    `\nfloors\n${Object.entries(report.floors)
      .map(([what, value]) => `  ${what.padEnd(60)} ${value.toFixed(2)}`)
      .join("\n")}`,
  );
  if (report.stages.length > 0) {
    console.log("\none start, stage by stage (median, microseconds)");
    for (const { stage, microseconds } of report.stages)
      console.log(`  ${stage.padEnd(40)} ${microseconds.toFixed(0).padStart(6)}`);
    console.log("what the kernel alone takes for the same things");
    for (const [what, microseconds] of Object.entries(kernelFloors))
      console.log(`  ${what.padEnd(40)} ${String(microseconds).padStart(6)}`);
  }
  const missed = report.rows
    .filter((row) => met(row) === false)
    .map((row) => `${row.what} (against ${row.otherName || "the bound"})`);
  console.log(missed.length > 0 ? `\nnot met: ${missed.join(", ")}` : "\nevery target that could be measured is met");
  mkdirSync(dirname(values.json), { recursive: true });
  writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}
