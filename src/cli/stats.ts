import type { StatsSample } from "../api/control/types.ts";
import { dockerCounters } from "../api/shapes/stats.ts";
import { ellipsis } from "../lib/table.ts";
import { binarySize, decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { type Context, isDrawable, line, type Terminal } from "./context.ts";
import { Exit } from "./errors.ts";
import { bool, text } from "./flags.ts";
import { type Listing, type Row, renderRows } from "./listing.ts";

const listing: Listing = {
  headers: {
    Container: "CONTAINER",
    ID: "CONTAINER ID",
    Name: "NAME",
    CPUPerc: "CPU %",
    MemUsage: "MEM USAGE / LIMIT",
    MemPerc: "MEM %",
    NetIO: "NET I/O",
    BlockIO: "BLOCK I/O",
    PIDs: "PIDS",
  },
  columns: ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"],
};

export const command = define({
  usage: "[flags] [CONTAINER...]",
  summary: "show what containers use, live",
  flags: {
    all: bool("a", "those that do not run, too"),
    "no-stream": bool("", "once, then end"),
    "no-trunc": bool("", "whole ids"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "running",
  examples: [
    ["stats --no-stream", "one look"],
    ["stats --format '{{json .Networks}}'", "by interface"],
  ],
  async run(context, values, args) {
    const screen = new Screen(context, values.format, values["no-trunc"] ?? false, args);
    const stop = new AbortController();
    const leave = [
      context.signals.on("SIGINT", () => stop.abort(new Exit(0))),
      context.signals.on("SIGTERM", () => stop.abort(new Exit(143))),
    ];
    const request = { containers: [...args], ...(values.all ? { all: true } : {}) };
    try {
      if (values["no-stream"]) {
        // CPU use is a difference between two samples
        const before = await sampleAll(context, request, stop.signal);
        if (before.size > 0) await Bun.sleep(INTERVAL_MS);
        await screen.print(before.size > 0 ? await sampleAll(context, request, stop.signal) : before, before);
        return 0;
      }
      if (values.format === undefined && (await isDrawable(context, 1))) await screen.open();
      await context.call("stats", { ...request, stream: true }, { item: (round) => screen.take(round.samples) }, stop.signal);
    } finally {
      for (const off of leave) off();
    }
    return 0;
  },
});

const INTERVAL_MS = 1000;

type Samples = Map<string, StatsSample>;

async function sampleAll(
  context: Context,
  request: { containers: string[]; all?: boolean },
  signal: AbortSignal,
): Promise<Samples> {
  const samples: Samples = new Map();
  const item = (round: { samples: StatsSample[] }) => {
    for (const sample of round.samples) samples.set(sample.id, sample);
  };
  await context.call("stats", request, { item }, signal);
  return samples;
}

/** Draws rounds of samples over each other; with a format, and where there is no terminal, below each other. */
class Screen {
  readonly #context: Context;
  readonly #format: string | undefined;
  readonly #whole: boolean;
  readonly #asked: readonly string[];
  #terminal: Terminal | undefined;
  #before: Samples = new Map();
  #round: Samples = new Map();

  constructor(context: Context, format: string | undefined, whole: boolean, asked: readonly string[]) {
    this.#context = context;
    this.#format = format;
    this.#whole = whole;
    this.#asked = asked;
  }

  /** Has a terminal to draw on from now on. */
  async open(): Promise<void> {
    this.#terminal = await this.#context.terminal();
    await this.#context.stdout.write("\x1b[2J");
    await this.#draw();
  }

  async take(samples: readonly StatsSample[]): Promise<void> {
    this.#before = this.#round;
    this.#round = new Map(samples.map((sample) => [sample.id, sample]));
    await this.#draw();
  }

  async print(samples: Samples, before: Samples): Promise<void> {
    for (const text of await this.#render(samples, before)) await line(this.#context.stdout, text);
  }

  #render(samples: Samples, before: Samples): Promise<string[]> {
    const rows = [...samples.values()].map((sample) => rowOf(sample, before.get(sample.id), this.#whole, this.#asked));
    return renderRows(listing, rows, this.#format);
  }

  async #draw(): Promise<void> {
    const lines = await this.#render(this.#round, this.#before);
    if (this.#terminal === undefined) {
      for (const text of lines) await line(this.#context.stdout, text);
      return;
    }
    const { columns, rows } = this.#terminal.size(1) ?? { columns: 80, rows: 24 };
    const shown = lines.slice(0, rows - 1).map((text) => `${ellipsis(text, columns)}\x1b[K\n`);
    // home, every line cleared to its end as it is written, then everything below
    await this.#context.stdout.write(`\x1b[H${shown.join("")}\x1b[J`);
  }
}

/** Percent of one CPU, as Docker counts: the container's share of what all CPUs did, times their number. */
export function cpuPercent(now: StatsSample, before: StatsSample | undefined): number {
  if (!before) return 0;
  const used = now.cpu.usageNs - before.cpu.usageNs;
  const all = now.cpu.systemUsageNs - before.cpu.systemUsageNs;
  return used > 0 && all > 0 ? (used / all) * now.cpu.onlineCpus * 100 : 0;
}

/** `Container` is as it was asked for. */
export function rowOf(sample: StatsSample, before: StatsSample | undefined, whole: boolean, asked: readonly string[] = []): Row {
  const { memory, io, pids } = sample;
  const networks = Object.values(sample.network);
  const received = networks.reduce((sum, { rxBytes }) => sum + rxBytes, 0);
  const sent = networks.reduce((sum, { txBytes }) => sum + txBytes, 0);
  const id = whole ? sample.id : sample.id.slice(0, 12);
  return {
    Container: asked.find((name) => name === sample.name || sample.id.startsWith(name)) ?? id,
    ID: id,
    Name: sample.name,
    CPUPerc: `${cpuPercent(sample, before).toFixed(2)}%`,
    MemUsage: `${binarySize(memory.usageBytes)} / ${binarySize(memory.limitBytes)}`,
    MemPerc: `${(memory.limitBytes > 0 ? (memory.usageBytes / memory.limitBytes) * 100 : 0).toFixed(2)}%`,
    NetIO: `${decimalSize(received)} / ${decimalSize(sent)}`,
    BlockIO: `${decimalSize(io.readBytes)} / ${decimalSize(io.writeBytes)}`,
    PIDs: String(pids.current),
    Networks: Object.fromEntries(Object.entries(sample.network).map(([name, counters]) => [name, dockerCounters(counters)])),
  };
}
