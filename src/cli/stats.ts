import type { StatsSample } from "../api/control/types.ts";
import { binarySize, decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
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
  examples: [["stats --no-stream", "one look"]],
  async run(context, values, args) {
    const screen = new Screen(context, values.format, values["no-trunc"] ?? false, values["no-stream"] ?? false);
    const stop = new AbortController();
    const leave = [
      context.signals.on("SIGINT", () => stop.abort(new Exit(0))),
      context.signals.on("SIGTERM", () => stop.abort(new Exit(143))),
    ];
    try {
      await context.call(
        "stats",
        { containers: [...args], stream: true, ...(values.all ? { all: true } : {}) },
        {
          item: async (sample) => {
            // CPU use is a difference: the second sample is the first that can tell it
            if (await screen.take(sample)) stop.abort(new Exit(0));
          },
        },
        stop.signal,
      );
      await screen.flush();
    } finally {
      for (const off of leave) off();
    }
    return 0;
  },
});

/** Collects rounds of samples and draws each round when the next one begins. */
class Screen {
  readonly #context: Context;
  readonly #format: string | undefined;
  readonly #whole: boolean;
  readonly #once: boolean;
  #before = new Map<string, StatsSample>();
  #round = new Map<string, StatsSample>();
  #rounds = 0;
  #timer: Timer | undefined;

  constructor(context: Context, format: string | undefined, whole: boolean, once: boolean) {
    this.#context = context;
    this.#format = format;
    this.#whole = whole;
    this.#once = once;
  }

  /** True when everything asked for has been shown. */
  async take(sample: StatsSample): Promise<boolean> {
    clearTimeout(this.#timer);
    const newRound = this.#round.has(sample.id);
    if (newRound && (await this.#endRound())) return true;
    this.#round.set(sample.id, sample);
    // the engine sends a round at once, then pauses: what is there after a moment is the round
    if (!this.#once) this.#timer = setTimeout(() => void this.#draw().catch(() => {}), 100);
    else if (this.#rounds > 0 && this.#round.size === this.#before.size) return this.#endRound();
    return false;
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#draw();
  }

  async #endRound(): Promise<boolean> {
    const last = this.#once && this.#rounds > 0;
    if (last) await this.#draw();
    this.#before = this.#round;
    this.#round = new Map();
    this.#rounds++;
    return last;
  }

  async #draw(): Promise<void> {
    const rows = [...this.#round.values()].map((sample) => rowOf(sample, this.#before.get(sample.id), this.#whole));
    const lines = await renderRows(listing, rows, this.#format);
    if (this.#once || this.#format !== undefined) {
      for (const text of lines) await line(this.#context.stdout, text);
      return;
    }
    // home, every line cleared to its end as it is written, then everything below
    await this.#context.stdout.write(`\x1b[H${lines.map((text) => `${text}\x1b[K\n`).join("")}\x1b[J`);
  }
}

/** Percent of one CPU, as Docker counts: the container's share of what all CPUs did, times their number. */
export function cpuPercent(now: StatsSample, before: StatsSample | undefined): number {
  if (!before) return 0;
  const used = now.cpu.usageNs - before.cpu.usageNs;
  const all = now.cpu.systemUsageNs - before.cpu.systemUsageNs;
  return used > 0 && all > 0 ? (used / all) * now.cpu.onlineCpus * 100 : 0;
}

export function rowOf(sample: StatsSample, before: StatsSample | undefined, whole: boolean): Row {
  const { memory, io, pids } = sample;
  const used = Math.max(0, memory.usageBytes - memory.cacheBytes);
  const networks = Object.values(sample.network);
  const received = networks.reduce((sum, { rxBytes }) => sum + rxBytes, 0);
  const sent = networks.reduce((sum, { txBytes }) => sum + txBytes, 0);
  const id = whole ? sample.id : sample.id.slice(0, 12);
  return {
    Container: id,
    ID: id,
    Name: sample.name,
    CPUPerc: `${cpuPercent(sample, before).toFixed(2)}%`,
    MemUsage: `${binarySize(used)} / ${binarySize(memory.limitBytes)}`,
    MemPerc: `${(memory.limitBytes > 0 ? (used / memory.limitBytes) * 100 : 0).toFixed(2)}%`,
    NetIO: `${decimalSize(received)} / ${decimalSize(sent)}`,
    BlockIO: `${decimalSize(io.readBytes)} / ${decimalSize(io.writeBytes)}`,
    PIDs: String(pids.current),
  };
}
