/** Limits and device rules in the specification's terms. */
import { OnggiError } from "../lib/errors.ts";
import type { DeviceRule, LinuxResources } from "../oci/spec.ts";
import { type BlockDevices, blockIoOf } from "./block-io.ts";
import type { Resources } from "./request-types.ts";

/** The kernel's default period, in microseconds; --cpus is a share of it. */
const CPU_PERIOD = 100_000;

/**
 * Docker's limits as the specification has them: bytes, shares, microseconds. What is absent or 0 sets no limit. Memory
 * without a swap limit gets as much swap again. `devices`: those that limits name. Throws OnggiError `conflicting_limits`.
 */
export function resourcesToLinux(resources: Resources, devices: BlockDevices = new Map()): LinuxResources {
  const { memory, memorySwap, memoryReservation, memorySwappiness } = resources;
  const result: LinuxResources = {};
  if (memorySwap && memorySwap !== -1 && !memory) {
    throw new OnggiError("conflicting_limits", "a swap limit needs a memory limit: set --memory as well");
  }
  if (memorySwap && memorySwap !== -1 && memory && memorySwap < memory) {
    throw new OnggiError(
      "conflicting_limits",
      `--memory-swap ${memorySwap} is memory plus swap and cannot be below --memory ${memory}`,
    );
  }
  if (memory || memorySwap || memoryReservation || memorySwappiness !== undefined) {
    const swap = memorySwap || (memory ? memory * 2 : undefined);
    result.memory = {
      ...(memory ? { limit: memory } : {}),
      ...(swap ? { swap } : {}),
      ...(memoryReservation ? { reservation: memoryReservation } : {}),
      ...(memorySwappiness === undefined ? {} : { swappiness: memorySwappiness }),
    };
  }
  const cpu = cpuOf(resources);
  if (Object.keys(cpu).length > 0) result.cpu = cpu;
  if (resources.pidsLimit) result.pids = { limit: resources.pidsLimit };
  const blockIO = blockIoOf(resources, devices);
  if (blockIO) result.blockIO = blockIO;
  return result;
}

function cpuOf(resources: Resources): NonNullable<LinuxResources["cpu"]> {
  const { nanoCpus, cpuShares, cpuPeriod, cpuQuota, cpuRealtimePeriod, cpuRealtimeRuntime, cpusetCpus, cpusetMems } = resources;
  if (nanoCpus && (cpuQuota || cpuPeriod)) {
    throw new OnggiError("conflicting_limits", "--cpus sets quota and period itself: give it, or --cpu-quota and --cpu-period");
  }
  return {
    ...(cpuShares ? { shares: cpuShares } : {}),
    ...(nanoCpus ? { quota: Math.round((nanoCpus * CPU_PERIOD) / 1e9), period: CPU_PERIOD } : {}),
    ...(cpuQuota ? { quota: cpuQuota } : {}),
    ...(cpuPeriod ? { period: cpuPeriod } : {}),
    ...(cpuRealtimePeriod ? { realtimePeriod: cpuRealtimePeriod } : {}),
    ...(cpuRealtimeRuntime ? { realtimeRuntime: cpuRealtimeRuntime } : {}),
    ...(cpusetCpus ? { cpus: cpusetCpus } : {}),
    ...(cpusetMems ? { mems: cpusetMems } : {}),
  };
}

const character = (major: number, minor: number | undefined, access: string): DeviceRule => ({
  allow: true,
  type: "c",
  major,
  ...(minor === undefined ? {} : { minor }),
  access,
});

/** What every container may do with devices: make any node, use the harmless ones. Everything else is denied. */
export const defaultDeviceRules: readonly DeviceRule[] = [
  { allow: false, access: "rwm" },
  { allow: true, type: "c", access: "m" },
  { allow: true, type: "b", access: "m" },
  character(1, 3, "rwm"), // null
  character(1, 5, "rwm"), // zero
  character(1, 7, "rwm"), // full
  character(1, 8, "rwm"), // random
  character(1, 9, "rwm"), // urandom
  character(5, 0, "rwm"), // tty
  character(5, 1, "rwm"), // console
  character(5, 2, "rwm"), // ptmx
  character(136, undefined, "rwm"), // pts
];

/** A specification's resources with what every container may do with devices (config-linux.md, "Default Devices"). */
export const withDefaultDevices = (resources: LinuxResources = {}): LinuxResources => ({
  ...resources,
  devices: [...(resources.devices ?? []), ...defaultDeviceRules.slice(1)],
});

/** The default rules, then the devices given to the container, then rules in Docker's form: "c 42:* rmw". */
export function deviceRules(
  devices: readonly { type: string; major?: number; minor?: number; access: string }[],
  rules: readonly string[],
): DeviceRule[] {
  const given = devices.map(({ type, major, minor, access }): DeviceRule => {
    const kind = type === "b" ? "b" : "c";
    return {
      allow: true,
      type: kind,
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
      access,
    };
  });
  return [...defaultDeviceRules, ...given, ...rules.map(parseDeviceRule)];
}

/** "c 1:3 mr", "b 8:* rmw", "a *:* rwm". Throws OnggiError `invalid_device_rule`. */
export function parseDeviceRule(rule: string): DeviceRule {
  const match = /^([abc]) (\d{1,7}|\*):(\d{1,7}|\*) ([rwm]{1,3})$/.exec(rule);
  if (!match) {
    throw new OnggiError(
      "invalid_device_rule",
      `device cgroup rule ${JSON.stringify(rule)}: want "TYPE MAJOR:MINOR ACCESS", as "c 1:3 rwm"`,
    );
  }
  const [, type, major, minor, access] = match as unknown as [string, "a" | "b" | "c", string, string, string];
  return {
    allow: true,
    type,
    ...(major === "*" ? {} : { major: Number(major) }),
    ...(minor === "*" ? {} : { minor: Number(minor) }),
    access,
  };
}
