import { messageOf } from "../../lib/errors.ts";
import { parseDuration } from "../../lib/time.ts";
import type { OciRuntime } from "../../standalone/types.ts";
import { type Call, command, containerOf } from "./command.ts";
import type { Flags } from "./parse.ts";

const eventsFlags = {
  interval: { kind: "string", help: "time between two readings (default: 5s)", check: (text) => secondsOf(text) !== undefined },
  stats: { kind: "bool", help: "print one reading and end" },
} as const satisfies Flags;

export const events = command({
  summary: "print a container's readings and OOM kills as they come",
  operands: "<container-id>",
  description: "One JSON object a line, until the container has stopped.",
  flags: eventsFlags,
  arity: [1, 1],
  async run(call) {
    const { values, ports } = call;
    const id = containerOf(call);
    const seconds = secondsOf(values.interval ?? "5s") ?? 0;
    const runtime = await call.runtime();
    const { status } = await runtime.state(id);
    if (seconds <= 0) throw new Error("duration interval must be greater than 0");
    if (status === "stopped") throw new Error(`container with id ${id} is not running`);
    const print = (event: object) => ports.stdout(`${JSON.stringify(event)}\n`);
    if (values.stats) print({ type: "stats", id, data: await runtime.stats(id) });
    else await follow(call, runtime, id, seconds * 1000, print);
    return 0;
  },
});

/** Prints OOM kills at once and readings every `interval` milliseconds, until the container has stopped. */
async function follow(
  call: Call<typeof eventsFlags>,
  runtime: OciRuntime,
  id: string,
  interval: number,
  print: (event: object) => void,
): Promise<void> {
  let running = true;
  const stopped = runtime
    .watchOom(id, () => print({ type: "oom", id }))
    .finally(() => {
      running = false;
    });
  for (;;) {
    const pause = Promise.withResolvers<void>();
    const timer = setTimeout(pause.resolve, interval);
    try {
      await Promise.race([stopped, pause.promise]);
    } finally {
      clearTimeout(timer);
    }
    if (!running) return;
    try {
      print({ type: "stats", id, data: await runtime.stats(id) });
    } catch (error) {
      if (running) await call.log("error", messageOf(error));
    }
  }
}

/** Go's duration syntax, with a sign; undefined for what it does not know. */
function secondsOf(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const plain = /^[+-]/.test(text) ? text.slice(1) : text;
  const nanoseconds = plain === "0" ? 0n : parseDuration(plain);
  return nanoseconds === undefined ? undefined : (sign * Number(nanoseconds)) / 1e9;
}
