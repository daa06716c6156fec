import { describe, expect, test } from "bun:test";
import { variant } from "./dbus-message.ts";
import { bitMask, scopeProperties, startProperties } from "./systemd.ts";

describe("properties", () => {
  test("of every limit", () => {
    const resources = {
      cpu: { shares: 1024, quota: 25_000, period: 100_000, cpus: "0-1,9", mems: "0" },
      memory: { limit: 1000, swap: 3000, reservation: 500 },
      pids: { limit: 7 },
    };
    expect(scopeProperties(resources)).toEqual([
      ["CPUWeight", variant("t", 100n)],
      ["CPUQuotaPerSecUSec", variant("t", 250_000n)],
      ["CPUQuotaPeriodUSec", variant("t", 100_000n)],
      ["AllowedCPUs", variant("ay", Uint8Array.of(3, 2))],
      ["AllowedMemoryNodes", variant("ay", Uint8Array.of(1))],
      ["MemoryMax", variant("t", 1000n)],
      ["MemoryLow", variant("t", 500n)],
      ["MemorySwapMax", variant("t", 2000n)],
      ["TasksMax", variant("t", 7n)],
    ]);
  });

  test("no limit is the largest number, and a quota is rounded up to a hundredth of a CPU", () => {
    const none = 2n ** 64n - 1n;
    expect(scopeProperties({ memory: { limit: -1, swap: -1 }, pids: { limit: -1 }, cpu: { quota: -1 } })).toEqual([
      ["CPUQuotaPerSecUSec", variant("t", none)],
      ["MemoryMax", variant("t", none)],
      ["MemorySwapMax", variant("t", none)],
      ["TasksMax", variant("t", none)],
    ]);
    expect(scopeProperties({ cpu: { quota: 12_345 } })).toEqual([["CPUQuotaPerSecUSec", variant("t", 130_000n)]]);
  });

  test("a scope is delegated and holds the process", () => {
    const properties = Object.fromEntries(startProperties("onggi-x.scope", "system.slice", 42, {}));
    expect(properties).toMatchObject({
      Slice: variant("s", "system.slice"),
      PIDs: variant("au", [42]),
      Delegate: variant("b", true),
      TasksMax: variant("t", 2n ** 64n - 1n),
    });
    const limited = startProperties("onggi-x.scope", "system.slice", 42, { pids: { limit: 7 } });
    expect(limited.filter(([name]) => name === "TasksMax")).toEqual([["TasksMax", variant("t", 7n)]]);
  });

  test("lists that are none", () => {
    for (const list of ["", "a", "1-", "99999"]) expect(() => bitMask("cpu.cpus", list)).toThrow(/limit cpu.cpus/);
  });
});
