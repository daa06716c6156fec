/** Which subnet a network gets, and which address a container. Pure. */
import { createHash } from "node:crypto";
import { NetworkError } from "./errors.ts";
import {
  type AddressRange,
  addressText,
  contains,
  type Family,
  has,
  overlaps,
  parseAddress,
  parseSubnet,
  type Subnet,
  subnetAround,
  subnetText,
} from "./prefixes.ts";
import type { AddressPool, Pool } from "./types.ts";

/** A pool as it is used: every network's has a gateway. */
export type GatewayPool = Pool & { readonly gateway: string };

/** Subnets for networks whose maker chose none, in the order in which they are tried: those of Docker. */
export function* defaultSubnets(family: Family, tag: string): Generator<Subnet> {
  if (family === 4) {
    for (let second = 17; second < 32; second++) yield parseSubnet(`172.${second}.0.0/16`);
    for (let third = 0; third < 256; third += 16) yield parseSubnet(`192.168.${third}.0/20`);
    return;
  }
  // RFC 4193: fd, 40 bits that no other site has, 16 bits of subnet.
  const site = BigInt(`0x${createHash("sha256").update(tag).digest("hex").slice(0, 10)}`);
  for (let subnet = 0n; subnet < 65_536n; subnet++) {
    yield subnetAround(6, (0xfdn << 120n) | (site << 80n) | (subnet << 64n), 64);
  }
}

/** How many subnets of one pool are looked at. */
const MOST_OF_POOL = 65_536n;

function* subnetsOf({ base, size }: AddressPool): Generator<Subnet> {
  const { family, first, last } = parseSubnet(base);
  const step = 1n << BigInt((family === 4 ? 32 : 128) - size);
  for (let at = first, seen = 0n; at <= last && seen < MOST_OF_POOL; at += step, seen++) yield subnetAround(family, at, size);
}

/**
 * The first subnet that overlaps none of those: of the pools of its family, or, where there are none, of the default ones.
 * @throws NetworkError addresses_exhausted
 */
export function chooseSubnet(
  family: Family,
  tag: string,
  occupied: readonly AddressRange[],
  pools: readonly AddressPool[] = [],
): Subnet {
  const own = pools.filter(({ base }) => parseSubnet(base).family === family);
  const candidates = own.length > 0 ? own.map(subnetsOf) : [defaultSubnets(family, tag)];
  for (const subnets of candidates) {
    for (const subnet of subnets) if (!occupied.some((range) => overlaps(range, subnet))) return subnet;
  }
  throw new NetworkError(
    "addresses_exhausted",
    `all default subnets of IPv${family} overlap another network or a route of this host: give one by --subnet, or remove networks`,
  );
}

/** @throws NetworkError address_invalid */
export function checkPool({ base, size }: AddressPool): void {
  const { family, length } = parseSubnet(base);
  const most = family === 4 ? 30 : 126;
  if (size >= length && size <= most) return;
  throw new NetworkError("address_invalid", `pool ${base} cannot be cut into subnets of ${size} bits: give ${length} to ${most}`);
}

/** The addresses of a subnet that a host may have: not the network's own, nor IPv4's broadcast, where there is room for them. */
export function usableAddresses({ family, first, last, length }: Subnet): AddressRange {
  if (family === 6) return { family, first: length < 127 ? first + 1n : first, last };
  return length < 31 ? { family, first: first + 1n, last: last - 1n } : { family, first, last };
}

/** Prefixes that mean the same on every host, RFC 6890; with an address of theirs on a bridge the host would lose its own. */
const notForContainers = [
  ["this host's own", "0.0.0.0/8"],
  ["this host's own", "127.0.0.0/8"],
  ["for groups of hosts", "224.0.0.0/4"],
  ["this host's own", "::/127"],
  ["of each link by itself", "fe80::/10"],
  ["for groups of hosts", "ff00::/8"],
] as const;

/**
 * A pool with all its fields checked and in canonical text; the gateway, if it is not told, is the first address.
 * @throws NetworkError address_invalid
 */
export function completePool(pool: Pool): GatewayPool {
  const subnet = parseSubnet(pool.subnet);
  for (const [what, other] of notForContainers) {
    if (!overlaps(subnet, parseSubnet(other))) continue;
    throw new NetworkError(
      "address_invalid",
      `subnet ${pool.subnet} has addresses of ${other}, which are ${what}: choose another`,
    );
  }
  const usable = usableAddresses(subnet);
  const within = (text: string, what: string): string => {
    const address = parseAddress(text, what);
    if (!has(usable, address)) {
      throw new NetworkError(
        "address_invalid",
        `${what} ${text} is not one of ${pool.subnet}: it has ${addressText(subnet.family, usable.first)} to ${addressText(subnet.family, usable.last)}`,
      );
    }
    return addressText(address.family, address.number);
  };
  const range = pool.range === undefined ? undefined : parseSubnet(pool.range);
  if (range !== undefined && !contains(subnet, range)) {
    throw new NetworkError("address_invalid", `range ${pool.range} is not part of subnet ${pool.subnet}`);
  }
  if (usable.last === usable.first) {
    throw new NetworkError("address_invalid", `subnet ${pool.subnet} has no address for a container beside its gateway`);
  }
  const reserved = Object.entries(pool.reserved ?? {}).map(([name, text]) => [name, within(text, `reserved address ${name}`)]);
  const taken = new Set(reserved.map(([, text]) => text));
  let first = usable.first;
  while (pool.gateway === undefined && taken.has(addressText(subnet.family, first))) first += 1n;
  const gateway = pool.gateway === undefined ? addressText(subnet.family, first) : within(pool.gateway, "gateway");
  if (taken.has(gateway)) throw new NetworkError("address_invalid", `gateway ${gateway} is also a reserved address`);
  return {
    subnet: subnetText(subnet),
    ...(range === undefined ? {} : { range: subnetText(range) }),
    gateway,
    ...(reserved.length === 0 ? {} : { reserved: Object.fromEntries(reserved) }),
  };
}

const later = (one: bigint, other: bigint): bigint => (one > other ? one : other);
const earlier = (one: bigint, other: bigint): bigint => (one < other ? one : other);
const sizeOf = ({ first, last }: AddressRange): bigint => last - first + 1n;

/** What containers that name no address are given one of. */
function rangeOf({ subnet, range }: Pool): AddressRange {
  const usable = usableAddresses(parseSubnet(subnet));
  const { first, last } = range === undefined ? usable : parseSubnet(range);
  return { family: usable.family, first: later(first, usable.first), last: earlier(last, usable.last) };
}

/** Of the gateway and for others: no container is given them. */
const reservedIn = ({ gateway, reserved = {} }: GatewayPool): Set<bigint> =>
  new Set([gateway, ...Object.values(reserved)].map((text) => parseAddress(text, "address").number));

/**
 * How many addresses of the subnet nobody can be given any more, those that no host may have among them, and how many of the range are
 * left; at most 2^53 - 1. `taken`: those of containers.
 */
export function poolUsage(pool: GatewayPool, taken: readonly string[]): { inUse: number; free: number } {
  const subnet = parseSubnet(pool.subnet);
  const used = reservedIn(pool);
  for (const address of taken.map((text) => parseAddress(text, "address"))) if (has(subnet, address)) used.add(address.number);
  const range = rangeOf(pool);
  const usedOfRange = [...used].filter((number) => number >= range.first && number <= range.last).length;
  const count = (number: bigint): number => Number(earlier(number, BigInt(Number.MAX_SAFE_INTEGER)));
  return {
    inUse: count(BigInt(used.size) + sizeOf(subnet) - sizeOf(usableAddresses(subnet))),
    free: count(sizeOf(range) - BigInt(usedOfRange)),
  };
}

/**
 * Gives out the addresses of one pool. It walks on through the range, so that an address that was given back is the last to be
 * given again: others may still remember who had it.
 */
export class AddressAllocator {
  readonly #subnet: Subnet;
  readonly #usable: AddressRange;
  readonly #range: AddressRange;
  readonly #pool: GatewayPool;
  /** Of the gateway and for others: never given. */
  readonly #reserved: ReadonlySet<bigint>;
  readonly #taken = new Set<bigint>();
  #next: bigint;

  /** @param anywhere begin somewhere in the range, not at its first address */
  constructor(pool: GatewayPool, anywhere = false) {
    this.#pool = pool;
    this.#subnet = parseSubnet(pool.subnet);
    this.#usable = usableAddresses(this.#subnet);
    this.#range = rangeOf(pool);
    this.#reserved = reservedIn(pool);
    const size = sizeOf(this.#range);
    this.#next =
      this.#range.first + (anywhere ? BigInt(Math.floor(Math.random() * Number(size < 65_536n ? size : 65_536n))) : 0n);
  }

  get prefixLength(): number {
    return this.#subnet.length;
  }

  /** An address of the range that is free and that `avoid` does not hold. @throws NetworkError addresses_exhausted */
  take(avoid: ReadonlySet<string> = new Set()): string {
    const number = this.#free(avoid);
    this.#taken.add(number);
    this.#next = number === this.#range.last ? this.#range.first : number + 1n;
    return addressText(this.#range.family, number);
  }

  /** @throws NetworkError addresses_exhausted where `take` would */
  requireFree(avoid: ReadonlySet<string>): void {
    this.#free(avoid);
  }

  #free(avoid: ReadonlySet<string>): bigint {
    const { family, first } = this.#range;
    const size = sizeOf(this.#range);
    // Among so many in a row at least one is free.
    const most = BigInt(this.#taken.size + this.#reserved.size + avoid.size + 1);
    for (let step = 0n; step < size && step < most; step++) {
      const number = first + ((this.#next - first + step) % size);
      if (this.#taken.has(number) || this.#reserved.has(number) || avoid.has(addressText(family, number))) continue;
      return number;
    }
    throw new NetworkError(
      "addresses_exhausted",
      `no address of ${this.#pool.range ?? this.#pool.subnet} is free: ${this.#taken.size} are in use by running containers; stop one, or make a network with a larger subnet`,
    );
  }

  /** @throws NetworkError address_invalid if containers may not have that address */
  check(text: string): void {
    const address = parseAddress(text, "address");
    if (!has(this.#usable, address)) {
      throw new NetworkError("address_invalid", `address ${text} is not one of subnet ${this.#pool.subnet}`);
    }
    if (this.#reserved.has(address.number)) {
      const whose =
        text === this.#pool.gateway
          ? "the gateway's"
          : `reserved for ${Object.entries(this.#pool.reserved ?? {}).find(([, other]) => other === text)?.[0] ?? "others"}`;
      throw new NetworkError("address_invalid", `address ${text} of subnet ${this.#pool.subnet} is ${whose}`);
    }
  }

  /** Takes that address. False if it is taken. @throws NetworkError address_invalid */
  takeFixed(text: string): boolean {
    this.check(text);
    const { number } = parseAddress(text, "address");
    if (this.#taken.has(number)) return false;
    this.#taken.add(number);
    return true;
  }

  /** Gives an address back. Idempotent. */
  release(text: string): void {
    this.#taken.delete(parseAddress(text, "address").number);
  }
}
