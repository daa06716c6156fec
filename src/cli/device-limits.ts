import type { DeviceLimit } from "../api/control/types.ts";
import { parseBytes } from "../lib/units.ts";
import { UsageError } from "./errors.ts";

/** "/dev/sda:1mb" and the like, with what is wrong with one in the words of Docker's command line. */

const pathAndValue = (spec: string): { path: string; text: string } => {
  const [, path = "", text = ""] = /^([^:]+):(.*)$/s.exec(spec) ?? [];
  if (path === "") throw new Error(`bad format: ${spec}`);
  if (!path.startsWith("/dev/")) throw new Error(`bad format for device path: ${spec}`);
  return { path, text };
};

const wholeNumber = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN);

/** Bytes per second. Throws UsageError. */
export const bytesRate = reader((spec) => {
  const { path, text } = pathAndValue(spec);
  try {
    return { path, value: parseBytes(text) };
  } catch {
    throw new Error(
      `invalid rate for device: ${spec}. The correct format is <device-path>:<number>[<unit>]. ` +
        "Number must be a positive integer. Unit is optional and can be kb, mb, or gb",
    );
  }
});

/** Operations per second. Throws UsageError. */
export const operationsRate = reader((spec) => {
  const { path, text } = pathAndValue(spec);
  const value = wholeNumber(text);
  if (Number.isSafeInteger(value)) return { path, value };
  throw new Error(
    `invalid rate for device: ${spec}. The correct format is <device-path>:<number>. Number must be a positive integer`,
  );
});

/** 10 to 1000, or 0. Throws UsageError. */
export const deviceWeight = reader((spec) => {
  const { path, text } = pathAndValue(spec);
  const value = wholeNumber(text);
  if (value === 0 || (value >= 10 && value <= 1000)) return { path, value };
  throw new Error(`invalid weight for device: ${spec}`);
});

function reader(read: (spec: string) => DeviceLimit) {
  return (spec: string, name: string): DeviceLimit => {
    try {
      return read(spec);
    } catch (error) {
      throw new UsageError(`invalid argument "${spec}" for "${name}" flag: ${(error as Error).message}`);
    }
  };
}
