import type { EngineEvent } from "../api/control/types.ts";
import { visible } from "../lib/printable.ts";
import { compile, toJson } from "../lib/template.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { Exit } from "./errors.ts";
import { list, text } from "./flags.ts";
import { parseFilters, unescapeFormat } from "./listing.ts";

export const command = define({
  usage: "[flags]",
  summary: "show what happens, live",
  flags: {
    since: text("", "TIME", "from a time on: RFC 3339, seconds, or 10m ago"),
    until: text("", "TIME", "up to a time, then end"),
    filter: list("f", "KEY=VALUE", "only those: type, event, container, image, label"),
    format: text("", "TEMPLATE", "json or a Go template"),
  },
  args: [0, 0],
  examples: [["events -f event=die --format '{{.Actor.Attributes.name}}'", "the names of what ends"]],
  async run(context, values) {
    const filters = parseFilters(values.filter);
    const write = formatter(values.format);
    const stop = new AbortController();
    const off = context.signals.on("SIGINT", () => stop.abort(new Exit(130)));
    try {
      await context.call(
        "events",
        {
          ...(values.since === undefined ? {} : { since: values.since }),
          ...(values.until === undefined ? {} : { until: values.until }),
          ...(filters ? { filters } : {}),
        },
        { item: (event) => line(context.stdout, write(event)) },
        stop.signal,
      );
    } finally {
      off();
    }
    return 0;
  },
});

function formatter(format: string | undefined): (event: EngineEvent) => string {
  if (format === undefined) return eventLine;
  if (format === "json") return (event) => toJson(eventFields(event));
  const template = compile(unescapeFormat(format));
  return (event) => template(eventFields(event));
}

/** An event under Docker's names. */
export const eventFields = (event: EngineEvent) => ({
  status: event.action,
  id: event.id,
  from: event.attributes.image ?? "",
  Type: event.type,
  Action: event.action,
  Actor: { ID: event.id, Attributes: event.attributes },
  scope: "local",
  time: Number(BigInt(event.timeNano) / 1_000_000_000n),
  timeNano: BigInt(event.timeNano),
});

/** "2024-05-01T10:00:00.123456789Z container die 0123... (exitCode=0, image=busybox, name=a)". */
export function eventLine(event: EngineEvent): string {
  const nano = BigInt(event.timeNano);
  const seconds = new Date(Number(nano / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  const fraction = (nano % 1_000_000_000n).toString().padStart(9, "0");
  const attributes = Object.entries(event.attributes)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`);
  const list = attributes.length > 0 ? ` (${attributes.join(", ")})` : "";
  return visible(`${seconds}.${fraction}Z ${event.type} ${event.action} ${event.id}${list}`);
}
