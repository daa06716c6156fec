/**
 * Ranges of host ids for user namespaces: 65,536 ids each, from 2^20 up, clear of what /etc/subuid hands out by default
 * (100000 to 600100000 begins below it, so the ranges people really configured are read and left out) and below 2^31, which
 * some programs cannot count past.
 */
import { OnggiError } from "../lib/errors.ts";

export const RANGE_SIZE = 65_536;
const FIRST = 2 ** 20;
const SLOTS = (2 ** 31 - FIRST) / RANGE_SIZE;

export interface HostRange {
  readonly hostId: number;
  readonly size: number;
}

export const rangeOf = (slot: number): HostRange => ({ hostId: FIRST + slot * RANGE_SIZE, size: RANGE_SIZE });

/** Slots that overlap a range of /etc/subuid or /etc/subgid text ("name:start:count" lines; others are ignored). */
export function reservedSlots(subidText: string): Set<number> {
  const reserved = new Set<number>();
  for (const line of subidText.split("\n")) {
    const match = /^[^:#]+:(\d+):(\d+)$/.exec(line.trim());
    if (!match) continue;
    const start = Number(match[1]);
    const end = Math.min(start + Number(match[2]), 2 ** 31);
    for (let slot = Math.max(0, Math.floor((start - FIRST) / RANGE_SIZE)); FIRST + slot * RANGE_SIZE < end; slot++) {
      reserved.add(slot);
    }
  }
  return reserved;
}

/** Hands out slots; the lowest free one first. Who joins another container's IPC has that one's. */
export class IdSlots {
  /** How many have it. */
  private readonly used: Map<number, number>;
  private lowest = 0;

  constructor(reserved: Iterable<number>) {
    this.used = new Map([...reserved].map((slot) => [slot, 1]));
  }

  take(): number {
    let slot = this.lowest;
    while (this.used.has(slot)) slot++;
    if (slot >= SLOTS) {
      throw new OnggiError("ids_exhausted", `all ${SLOTS} ranges of user ids are taken; remove containers or use --userns host`);
    }
    this.used.set(slot, 1);
    this.lowest = slot + 1;
    return slot;
  }

  /** One more has a slot that another one has, or that it has had since before. */
  claim(slot: number): void {
    this.used.set(slot, (this.used.get(slot) ?? 0) + 1);
  }

  release(slot: number): void {
    const left = (this.used.get(slot) ?? 0) - 1;
    if (left > 0) {
      this.used.set(slot, left);
      return;
    }
    this.used.delete(slot);
    this.lowest = Math.min(this.lowest, slot);
  }
}
