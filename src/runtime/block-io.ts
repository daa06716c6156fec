/** Limits of block devices in the specification's terms. Pure: the devices' numbers are passed in. */
import { OnggiError } from "../lib/errors.ts";
import type { LinuxResources } from "../oci/spec.ts";
import type { DeviceLimit, Resources } from "./request-types.ts";

/** The limits of single devices, each with the flag that asks for it. */
export const deviceLimitFlags = {
  blkioWeightDevice: "blkio-weight-device",
  deviceReadBps: "device-read-bps",
  deviceWriteBps: "device-write-bps",
  deviceReadIops: "device-read-iops",
  deviceWriteIops: "device-write-iops",
} as const satisfies { [K in keyof Resources]: string };

export type DeviceLimitName = keyof typeof deviceLimitFlags;

export const deviceLimitNames = Object.keys(deviceLimitFlags) as DeviceLimitName[];

/** Block devices by their paths on the host. */
export type BlockDevices = ReadonlyMap<string, { readonly major: number; readonly minor: number }>;

/** Undefined if nothing of it is asked for. Throws `device_not_found` for a device that `devices` has not. */
export function blockIoOf(resources: Resources, devices: BlockDevices): LinuxResources["blockIO"] {
  const numbered = (limits: readonly DeviceLimit[] | undefined) =>
    limits?.length ? limits.map(({ path, value }) => ({ ...numberOf(devices, path), value })) : undefined;
  const weights = numbered(resources.blkioWeightDevice);
  const rates = {
    throttleReadBpsDevice: numbered(resources.deviceReadBps),
    throttleWriteBpsDevice: numbered(resources.deviceWriteBps),
    throttleReadIOPSDevice: numbered(resources.deviceReadIops),
    throttleWriteIOPSDevice: numbered(resources.deviceWriteIops),
  };
  const blockIO: NonNullable<LinuxResources["blockIO"]> = {
    ...(resources.blkioWeight ? { weight: resources.blkioWeight } : {}),
    ...(weights && { weightDevice: weights.map(({ value, ...device }) => ({ ...device, weight: value })) }),
    ...Object.fromEntries(
      Object.entries(rates).flatMap(([name, list]) =>
        list ? [[name, list.map(({ value, ...device }) => ({ ...device, rate: value }))]] : [],
      ),
    ),
  };
  return Object.keys(blockIO).length > 0 ? blockIO : undefined;
}

function numberOf(devices: BlockDevices, path: string): { major: number; minor: number } {
  const device = devices.get(path);
  if (!device) throw new OnggiError("device_not_found", `${path}: there is no such block device`);
  return { major: device.major, minor: device.minor };
}
