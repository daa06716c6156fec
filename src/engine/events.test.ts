import { describe, expect, test } from "bun:test";
import { nowNs, rfc3339 } from "../lib/time.ts";
import { EventBus, type EventQuery, followEvents } from "./events.ts";

async function collect(bus: EventBus, query: EventQuery, signal = new AbortController().signal): Promise<string[]> {
  const actions: string[] = [];
  for await (const event of followEvents(bus, query, signal)) actions.push(event.action);
  return actions;
}

const inMs = (ms: number): string => rfc3339(nowNs() + BigInt(ms) * 1_000_000n);

describe("until", () => {
  test("in the future: ends then, though nothing happens", async () => {
    // Timers fire up to a millisecond early, now and then: one try would not show it.
    const tries = Array.from({ length: 60 }, async (_, n) => {
      const started = performance.now();
      await collect(new EventBus(), { until: inMs(30 + n) });
      return performance.now() - started - (30 + n);
    });
    for (const late of await Promise.all(tries)) {
      expect(late).toBeGreaterThan(-2);
      expect(late).toBeLessThan(2000);
    }
  });

  test("in the past: tells what was and ends", async () => {
    const bus = new EventBus();
    bus.emit("container", "create", "a", {});
    expect(await collect(bus, { since: "1h", until: rfc3339(nowNs()) })).toEqual(["create"]);
    expect(await collect(bus, { until: "1h" })).toEqual([]);
  });

  test("years away: does not end before it is told to", async () => {
    const stop = new AbortController();
    const all = collect(new EventBus(), { until: "2999-01-01" }, stop.signal);
    expect(await Promise.race([all, Bun.sleep(50).then(() => "waits")])).toBe("waits");
    stop.abort();
    expect(await all).toEqual([]);
  });
});

test("events come as they happen, those that match", async () => {
  const bus = new EventBus();
  const query = { filters: { event: ["start", "die"], container: ["web"] } };
  const all = (async () => {
    const actions: string[] = [];
    for await (const { action } of followEvents(bus, query, new AbortController().signal)) {
      actions.push(action);
      if (action === "die") break;
    }
    return actions;
  })();
  await Bun.sleep(10);
  for (const action of ["create", "start"]) bus.emit("container", action, "1", { name: "web" });
  await Bun.sleep(10);
  bus.emit("container", "start", "2", { name: "db" });
  bus.emit("container", "die", "1", { name: "web" });
  expect(await all).toEqual(["start", "die"]);
});

test("a filter that is none", async () => {
  const error = await collect(new EventBus(), { filters: { colour: ["red"] } }).catch((thrown: Error) => thrown.message);
  expect(error).toContain("no such filter: colour");
});
