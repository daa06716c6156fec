/**
 * Limits as data: what the resources of a specification mean as writes to cgroup files.
 *
 * `limits-v1.ts` and `limits-v2.ts` turn resources into a list of `LimitWrite`, purely; `apply.ts` makes the writes.
 * In all of it 0 or undefined is "not asked for" and -1 is "no limit", as the runtime specification and Docker have it.
 */
import { OnggiError } from "../../lib/errors.ts";
import type { LimitFile } from "./types.ts";

export interface LimitWrite {
  /** The limit as the specification names it: "memory.limit". */
  readonly limit: string;
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** The file may be missing; the limit is then covered by another write. */
  readonly optional?: true;
  /** Written in place of `file` where the kernel has no such file. */
  readonly otherwise?: { readonly file: string; readonly value: string };
  /** EINVAL may only mean that a later write of the list must come first: it is tried again at the end. */
  readonly retry?: true;
  /** A number that the kernel may take without effect: it is read back, and must not be larger (it is rounded down to pages). */
  readonly readBack?: true;
}

export const limitFile = ({ file, value, limit }: LimitWrite, directory: string): LimitFile => ({
  file: `${directory}/${file}`,
  value,
  limit,
});

/** Throws `invalid_cgroup_limit`. */
export function invalidLimit(limit: string, value: unknown, reason: string): never {
  throw new OnggiError("invalid_cgroup_limit", `limit ${limit} = ${JSON.stringify(value)}: ${reason}`);
}

/** Throws `cgroup_limit_unsupported`: the limit has no counterpart in this cgroup version. */
export function unsupportedLimit(limit: string, value: unknown, version: "v1" | "v2", instead = ""): never {
  const hint = instead ? `; ${instead}` : "";
  throw new OnggiError(
    "cgroup_limit_unsupported",
    `limit ${limit} = ${JSON.stringify(value)}: cgroup ${version} does not have it${hint}`,
  );
}

/** `value` as the kernel reads it. Throws `invalid_cgroup_limit` for what is no integer or too small. */
export function integer(limit: string, value: number, minimum: number): string {
  if (!Number.isInteger(value)) invalidLimit(limit, value, "an integer is needed");
  if (value < minimum) invalidLimit(limit, value, `at least ${minimum} is needed`);
  // Not String: what is above 2^53 would come out rounded or with an exponent.
  return Number.isSafeInteger(value) ? String(value) : BigInt(value).toString();
}

/** A page size as file names have it ("2MB"). It becomes part of a file name: nothing else passes. */
export function checkPageSize(pageSize: string): void {
  if (!/^[1-9][0-9]*[KMG]B$/.test(pageSize)) invalidLimit("hugepageLimits.pageSize", pageSize, 'a size like "2MB" is needed');
}

/** A word that goes into a line of a cgroup file. */
export function checkWord(limit: string, word: string): void {
  if (!/^[^\s\u0000-\u001f\u007f]+$/.test(word)) invalidLimit(limit, word, "it must be one word");
}

/** "MAJOR:MINOR" */
export const deviceNumber = (limit: string, device: { major: number; minor: number }): string =>
  `${integer(`${limit}.major`, device.major, 0)}:${integer(`${limit}.minor`, device.minor, 0)}`;

/** Throws `cgroup_controller_missing` for the first write whose controller is not in `available`. */
export function checkControllers(
  writes: readonly LimitWrite[],
  available: ReadonlySet<string>,
  why: (controller: string) => string,
): void {
  for (const { limit, value, controller } of writes) {
    if (available.has(controller)) continue;
    const have = [...available].sort().join(", ") || "none";
    throw new OnggiError(
      "cgroup_controller_missing",
      `limit ${limit} = ${JSON.stringify(value)} needs the ${controller} controller, which cannot be used: ${why(controller)}; available: ${have}`,
    );
  }
}
