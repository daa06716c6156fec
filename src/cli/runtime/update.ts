import { parseBytes } from "../../lib/units.ts";
import type { LinuxResources } from "../../oci/spec.ts";
import { absolute, type Call, command, containerOf, defined } from "./command.ts";
import type { Flags } from "./parse.ts";

const updateFlags = {
  resources: {
    kind: "string",
    short: "r",
    help: `file with the resources as JSON, in the shape of config.json's linux.resources; "-" is standard input.
What is not in it stays; other options are not looked at`,
  },
  "blkio-weight": { kind: "int", help: "relative weight for block devices, 10 to 1000" },
  "cpu-period": { kind: "string", help: "CFS period in microseconds; 0 for the system's default" },
  "cpu-quota": { kind: "string", help: "CFS quota in microseconds: CPU time in a period" },
  "cpu-burst": { kind: "string", help: "CFS burst in microseconds: quota that may be saved up" },
  "cpu-share": { kind: "string", help: "relative weight for CPU time" },
  "cpu-rt-period": { kind: "string", help: "realtime period in microseconds; 0 for the system's default" },
  "cpu-rt-runtime": { kind: "string", help: "realtime quota in microseconds" },
  "cpuset-cpus": { kind: "string", help: "CPUs to use" },
  "cpuset-mems": { kind: "string", help: "memory nodes to use" },
  "kernel-memory": { kind: "string", help: "of no effect", hidden: true },
  "kernel-memory-tcp": { kind: "string", help: "of no effect", hidden: true },
  memory: { kind: "string", help: "memory limit in bytes" },
  "cpu-idle": { kind: "string", help: "1: run only when nobody else wants the CPU (SCHED_IDLE); 0: as usual" },
  "memory-reservation": { kind: "string", help: "soft memory limit in bytes" },
  "memory-swap": { kind: "string", help: "limit of memory and swap together in bytes; -1: no limit" },
  "pids-limit": { kind: "int", help: "how many processes there may be" },
  "l3-cache-schema": { kind: "string", help: "schema of Intel RDT's L3 cache allocation" },
  "mem-bw-schema": { kind: "string", help: "schema of Intel RDT's memory bandwidth allocation" },
} as const satisfies Flags;

type Given = Call<typeof updateFlags>["values"];

export const update = command({
  summary: "change the resource limits of a container",
  operands: "<container-id>",
  flags: updateFlags,
  arity: [1, 1],
  async run(call) {
    const { values } = call;
    const id = containerOf(call);
    const resources = values.resources ? await readResources(call, values.resources) : resourcesOf(values);
    const { limit, swap, kernel, kernelTCP } = resources.memory ?? {};
    // else the swap limit of before would be left without a memory limit to count from
    if (limit === -1 && swap === undefined) resources.memory = { ...resources.memory, swap: -1 };
    if (kernel !== undefined || kernelTCP !== undefined)
      await call.log("warning", "Kernel memory settings are ignored and will be removed");
    const rdt = defined({
      l3CacheSchema: values["l3-cache-schema"] || undefined,
      memBwSchema: values["mem-bw-schema"] || undefined,
    });
    await (await call.runtime()).update(id, resources, Object.keys(rdt).length > 0 ? rdt : undefined);
    return 0;
  },
});

async function readResources({ ports }: Call<typeof updateFlags>, from: string): Promise<LinuxResources> {
  const text = from === "-" ? await ports.stdin() : await Bun.file(absolute(ports.cwd, from)!).text();
  return (await import("../../oci/parts.ts")).parseResources(text);
}

/** Only what was given: a limit that is not named stays. */
function resourcesOf(values: Given): LinuxResources {
  const unsigned = (name: keyof Given & string) => integerOf(values, name, "ParseUint", /^\d+$/);
  const signed = (name: keyof Given & string) => integerOf(values, name, "ParseInt", /^[+-]?\d+$/);
  const cpu = defined({
    cpus: values["cpuset-cpus"] || undefined,
    mems: values["cpuset-mems"] || undefined,
    idle: signed("cpu-idle"),
    burst: unsigned("cpu-burst"),
    period: unsigned("cpu-period"),
    realtimePeriod: unsigned("cpu-rt-period"),
    shares: unsigned("cpu-share"),
    quota: signed("cpu-quota"),
    realtimeRuntime: signed("cpu-rt-runtime"),
  });
  const memory = defined({
    limit: bytesOf(values, "memory"),
    swap: bytesOf(values, "memory-swap"),
    kernel: bytesOf(values, "kernel-memory"),
    kernelTCP: bytesOf(values, "kernel-memory-tcp"),
    reservation: bytesOf(values, "memory-reservation"),
  });
  const blockIO = defined({ weight: values["blkio-weight"] || undefined });
  const pids = defined({ limit: values["pids-limit"] || undefined });
  const groups = Object.entries({ cpu, memory, blockIO, pids }).filter(([, group]) => Object.keys(group).length > 0);
  return Object.fromEntries(groups);
}

function integerOf(values: Given, name: keyof Given & string, parser: string, syntax: RegExp): number | undefined {
  const text = values[name] as string | undefined;
  if (!text) return undefined;
  const fault = syntax.test(text) ? (Number.isSafeInteger(Number(text)) ? undefined : "value out of range") : "invalid syntax";
  if (fault) throw new Error(`invalid value for ${name}: strconv.${parser}: parsing ${JSON.stringify(text)}: ${fault}`);
  return Number(text);
}

/** A number of bytes, with a unit ("64m") or without; -1 is no limit. */
function bytesOf(values: Given, name: keyof Given & string): number | undefined {
  const text = values[name] as string | undefined;
  if (!text) return undefined;
  if (text === "-1") return -1;
  try {
    return parseBytes(text);
  } catch (error) {
    throw new Error(`invalid value for ${name}: invalid size: '${text}'`, { cause: error });
  }
}
