/** Memory policies and scheduling of the specification, as the kernel then has them. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Linux, Scheduler } from "../src/oci/spec.ts";
import { busybox, cleanUp, facts, sh } from "./runtime/kit.ts";

let image: string;
beforeAll(() => {
  image = busybox();
});
afterAll(cleanUp);

const [major, minor] = facts.kernel;
const atLeast = (wanted: readonly [number, number]) => major > wanted[0] || (major === wanted[0] && minor >= wanted[1]);

describe.skipIf(!existsSync("/proc/self/numa_maps"))("a memory policy", () => {
  const policies: [NonNullable<Linux["memoryPolicy"]>, string, (readonly [number, number])?][] = [
    [{ mode: "MPOL_DEFAULT" }, "default"],
    [{ mode: "MPOL_LOCAL" }, "local"],
    [{ mode: "MPOL_BIND", nodes: "0" }, "bind:0"],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"] }, "bind=static:0"],
    [{ mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_NUMA_BALANCING"] }, "bind=balancing:0"],
    [{ mode: "MPOL_PREFERRED", nodes: "0", flags: ["MPOL_F_RELATIVE_NODES"] }, "prefer=relative:0"],
    [{ mode: "MPOL_INTERLEAVE", nodes: " 0" }, "interleave:0"],
    [{ mode: "MPOL_PREFERRED_MANY", nodes: "0" }, "prefer (many):0", [5, 15]],
    [{ mode: "MPOL_WEIGHTED_INTERLEAVE", nodes: "0" }, "weighted interleave:0", [6, 9]],
  ];
  for (const [memoryPolicy, shown, since = [5, 0] as const] of policies) {
    test.skipIf(!atLeast(since))(`${JSON.stringify(memoryPolicy)} is ${shown}`, async () => {
      const { output, failure } = await sh(image, "head -1 /proc/self/numa_maps", {
        change: (spec) => {
          spec.linux!.memoryPolicy = memoryPolicy;
        },
      });
      expect(failure).toBeNull();
      expect(output).toMatch(new RegExp(`^[0-9a-f]+ ${shown.replace(/[()]/g, "\\$&")} `));
    });
  }
});

/** proc(5), /proc/PID/stat: fields 19 (nice), 40 (real-time priority) and 41 (policy), counted after the name. */
const script = "sed 's/.*) //' /proc/self/stat | cut -d' ' -f17,38,39";

describe("a scheduler", () => {
  const schedulers: [Scheduler, string][] = [
    [{ policy: "SCHED_OTHER", nice: 7 }, "7 0 0"],
    [{ policy: "SCHED_BATCH", nice: -3 }, "-3 0 3"],
    [{ policy: "SCHED_IDLE" }, "0 0 5"],
  ];
  test.each(schedulers)("%j", async (scheduler, shown) => {
    const { output, failure } = await sh(image, script, {
      userns: false,
      change: (spec) => {
        spec.process!.scheduler = scheduler;
      },
    });
    expect(failure).toBeNull();
    expect(output).toBe(`${shown}\n`);
  });

  test("that the kernel never had is refused by name", async () => {
    const change = (spec: { process?: { scheduler?: Scheduler } }) => {
      spec.process!.scheduler = { policy: "SCHED_ISO" };
    };
    await expect(sh(image, script, { change })).rejects.toThrow("process.scheduler.policy: Linux has reserved SCHED_ISO");
  });
});

test.skipIf(availableParallelism() < 2)("an exec runs on the CPUs it is to end up on; the first process on all", async () => {
  const list = "sed -n 's/Cpus_allowed_list:\\t//p' /proc/self/status";
  await sh(image, "sleep 100", {
    during: async (container) => {
      const pinned = await container.exec(["sh", "-c", list], {}, { execCPUAffinity: { initial: "0", final: "1" } });
      expect(pinned.failure).toBeNull();
      expect(pinned.output).toBe("1\n");
      const free = await container.exec(["sh", "-c", list]);
      expect(free.output).toMatch(/^0-\d+\n$/);
    },
  });
});

describe.each([true, false])("devices, user namespace: %p", (userns) => {
  test("of every type, anywhere, with their modes and owners", async () => {
    const { output, failure } = await sh(image, "stat -c '%F %a %u:%g %t:%T' /dev/sub/null /dev/disk /dev/pipe /other/zero", {
      userns,
      change: (spec) => {
        spec.linux!.devices = [
          { type: "c", path: "/dev/sub/null", major: 1, minor: 3, fileMode: 0o640, uid: 7, gid: 8 },
          { type: "b", path: "/dev/disk", major: 259, minor: 300 },
          { type: "p", path: "/dev/pipe", fileMode: 0o010600 },
          { type: "u", path: "/other/zero", major: 1, minor: 5, fileMode: 0o400 },
        ];
      },
    });
    expect(failure).toBeNull();
    expect(output).toBe(
      [
        "character special file 640 7:8 1:3",
        "block special file 666 0:0 103:12c",
        "fifo 600 0:0 0:0",
        "character special file 400 0:0 1:5",
        "",
      ].join("\n"),
    );
  });
});
