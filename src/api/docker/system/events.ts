import type { EngineEvent } from "../../../engine/types.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";

/** Lines that were made for one listener, for the next: many listen to the same events. */
const made = { old: new WeakMap<EngineEvent, string>(), new: new WeakMap<EngineEvent, string>() };

/** One line, as Docker names things; before 1.52 with the fields of the old form beside. */
export function eventLine(event: EngineEvent, version: string): string {
  const form = isAtLeast(version, "1.52") ? "new" : "old";
  const line = made[form].get(event) ?? lineOf(event, form);
  made[form].set(event, line);
  return line;
}

function lineOf({ type, action, id, attributes, timeNano }: EngineEvent, form: keyof typeof made): string {
  const old =
    form === "new"
      ? {}
      : type === "container"
        ? { status: action, id, from: attributes.image }
        : type === "image"
          ? { status: action, id }
          : {};
  const known = JSON.stringify({
    ...old,
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: "local",
    time: Number(timeNano.slice(0, -9)),
  });
  // a number that no double holds
  return `${known.slice(0, -1)},"timeNano":${timeNano}}\n`;
}

async function* lines(events: AsyncIterable<EngineEvent>, version: string): AsyncGenerator<string> {
  for await (const event of events) yield eventLine(event, version);
}

export const events = operation({
  id: "SystemEvents",
  tag: "System",
  summary: "what happens, one JSON object after the other, as it happens",
  needs: "read",
  method: "GET",
  path: "/events",
  query: {
    since: q.string("from this moment on: RFC 3339, Unix seconds with a fraction, or a duration before now"),
    until: q.string("to this moment; absent: for ever"),
    filters: q.filters(["type", "event", "container", "image", "volume", "network", "daemon", "label", "scope"]),
  },
  answers: { 200: { description: "events", content: "application/json" } },
  differs:
    "a listener for whom 65,536 events wait is cut off, where Docker leaves events out; networks of CNI plugins tell nothing of `connect` and `disconnect`",
  run: ({ engine, query, version, signal }) => {
    const { since, until, filters } = query;
    const asked = { filters, ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
    engine.checkEvents(asked);
    const found = engine.events(asked, signal);
    return { status: 200, headers: { "Content-Type": "application/json" }, body: lines(found, version) };
  },
});
