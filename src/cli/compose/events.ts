import type { EngineEvent } from "../../api/control/types.ts";
import { label } from "../../compose/labels.ts";
import { line } from "../context.ts";
import { Exit } from "../errors.ts";
import { eventLine } from "../events.ts";
import { bool, text } from "../flags.ts";
import { defineCompose } from "./command.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "show what happens to a project's containers, live",
  flags: {
    json: bool("", "a line of JSON for each"),
    since: text("", "TIME", "from a time on: RFC 3339, seconds, or 10m ago"),
    until: text("", "TIME", "up to a time, then end"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose events --json", "for programs"]],
  async run(compose, values, services) {
    const { context } = compose;
    const { name } = await compose.known(services);
    const stop = new AbortController();
    const off = context.signals.on("SIGINT", () => stop.abort(new Exit(130)));
    const request = {
      filters: { type: ["container"], label: [`${label.project}=${name}`] },
      ...(values.since === undefined ? {} : { since: values.since }),
      ...(values.until === undefined ? {} : { until: values.until }),
    };
    const item = (event: EngineEvent): Promise<void> | void => {
      if (services.length > 0 && !services.includes(event.attributes[label.service] ?? "")) return;
      return line(context.stdout, values.json ? JSON.stringify(fields(event)) : eventLine(plain(event)));
    };
    try {
      await context.call("events", request, { item }, stop.signal);
    } finally {
      off();
    }
    return 0;
  },
});

/** Without the labels of compose itself. */
function plain(event: EngineEvent): EngineEvent {
  const own = Object.entries(event.attributes).filter(([key]) => !/^(com\.docker|dev\.onggi)\.compose\./.test(key));
  return { ...event, attributes: Object.fromEntries(own) };
}

const fields = (event: EngineEvent) => ({
  action: event.action,
  attributes: plain(event).attributes,
  id: event.id,
  service: event.attributes[label.service] ?? "",
  time: new Date(Number(BigInt(event.timeNano) / 1_000_000n)).toISOString(),
  type: event.type,
});
