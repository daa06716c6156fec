/** Capability names and sets, capabilities(7). A set is a bit mask, bit n for capability number n. */
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { CAP } from "../sys/constants.ts";

const numbers: Readonly<Record<string, number>> = CAP;
export const capabilityNames: readonly string[] = Object.keys(CAP).sort((a, b) => numbers[a]! - numbers[b]!);

/** What Docker gives a container that asks for nothing. */
export const defaultCapabilities: readonly string[] = [
  "CAP_CHOWN",
  "CAP_DAC_OVERRIDE",
  "CAP_FSETID",
  "CAP_FOWNER",
  "CAP_MKNOD",
  "CAP_NET_RAW",
  "CAP_SETGID",
  "CAP_SETUID",
  "CAP_SETFCAP",
  "CAP_SETPCAP",
  "CAP_NET_BIND_SERVICE",
  "CAP_SYS_CHROOT",
  "CAP_KILL",
  "CAP_AUDIT_WRITE",
];

/** Every capability from 0 to `lastCap` that has a name here. */
export const allCapabilities = (lastCap: number): string[] => capabilityNames.filter((name) => numbers[name]! <= lastCap);

/** The mask of a list of names. Unknown names and those above `lastCap` are left out: an older kernel does not have them. */
export function capabilityMask(names: readonly string[] | undefined, lastCap: number): bigint {
  let mask = 0n;
  for (const name of names ?? []) {
    const number = lookUp(numbers, name);
    if (number !== undefined && number <= lastCap) mask |= 1n << BigInt(number);
  }
  return mask;
}

export const capabilitiesIn = (mask: bigint): number[] => {
  const found: number[] = [];
  for (let number = 0n; mask >> number > 0n; number++) if ((mask >> number) & 1n) found.push(Number(number));
  return found;
};

/** "net_admin", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN"; throws OnggiError `invalid_capability`. */
export function normalizeCapability(name: string): string {
  const upper = name.toUpperCase();
  const full = upper.startsWith("CAP_") ? upper : `CAP_${upper}`;
  if (numbers[full] === undefined) {
    throw new OnggiError("invalid_capability", `unknown capability ${JSON.stringify(name)}; capabilities(7) lists them`);
  }
  return full;
}

/** Docker's --cap-add and --cap-drop: ALL stands for every capability, and what is added by name outweighs a dropped ALL. */
export function tweakCapabilities(add: readonly string[], drop: readonly string[], lastCap: number): string[] {
  const isAll = (name: string) => /^(cap_)?all$/i.test(name);
  const added = add.filter((name) => !isAll(name)).map(normalizeCapability);
  const dropped = new Set(drop.filter((name) => !isAll(name)).map(normalizeCapability));
  const base = add.some(isAll) ? allCapabilities(lastCap) : drop.some(isAll) ? [] : defaultCapabilities;
  const wanted = new Set([...base.filter((name) => !dropped.has(name)), ...added]);
  return allCapabilities(lastCap).filter((name) => wanted.has(name));
}
