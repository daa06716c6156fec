/** IP addresses and subnets as numbers. Pure. */
import { formatIp, parseIp, parsePrefix } from "../sys/ipaddress.ts";
import { NetworkError } from "./errors.ts";

export type Family = 4 | 6;

/** All addresses from `first` to `last`. */
export interface AddressRange {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

/** A range that is a prefix: `length` bits of `first` are the network. */
export interface Subnet extends AddressRange {
  readonly length: number;
}

const bitsOf = (family: Family): number => (family === 4 ? 32 : 128);

export const familyOf = (address: string): Family => (address.includes(":") ? 6 : 4);

/** @throws TypeError if the text is no address */
export function addressNumber(text: string): bigint {
  let number = 0n;
  for (const byte of parseIp(text)) number = (number << 8n) | BigInt(byte);
  return number;
}

/** The canonical text of an address. */
export function addressText(family: Family, number: bigint): string {
  const bytes = new Uint8Array(bitsOf(family) / 8);
  for (let at = bytes.length - 1, rest = number; at >= 0; at--, rest >>= 8n) bytes[at] = Number(rest & 0xffn);
  return formatIp(bytes);
}

export const subnetText = ({ family, first, length }: Subnet): string => `${addressText(family, first)}/${length}`;

/** The subnet of so many bits that an address lies in. */
export function subnetAround(family: Family, number: bigint, length: number): Subnet {
  const size = 1n << BigInt(bitsOf(family) - length);
  const first = number - (number % size);
  return { family, length, first, last: first + size - 1n };
}

/**
 * "10.1.0.0/16".
 * @throws NetworkError address_invalid for what is no prefix, or has bits set beyond its length
 */
export function parseSubnet(text: string): Subnet {
  let prefix: ReturnType<typeof parsePrefix>;
  try {
    prefix = parsePrefix(text);
  } catch {
    throw new NetworkError("address_invalid", `"${text}" is no subnet: give one as 10.1.0.0/16 or fd00:1::/64`);
  }
  if (!text.includes("/")) throw new NetworkError("address_invalid", `subnet ${text} has no length: give one as ${text}/24`);
  const family = prefix.bytes.length === 4 ? 4 : 6;
  const address = addressNumber(formatIp(prefix.bytes));
  const subnet = subnetAround(family, address, prefix.length);
  if (subnet.first !== address) {
    throw new NetworkError(
      "address_invalid",
      `subnet ${text} has bits set beyond its length: it should be ${subnetText(subnet)}`,
    );
  }
  return subnet;
}

/** @throws NetworkError address_invalid, with `what` it was to be */
export function parseAddress(text: string, what: string): { readonly family: Family; readonly number: bigint } {
  try {
    return { family: familyOf(text), number: addressNumber(text) };
  } catch {
    throw new NetworkError("address_invalid", `${what} "${text}" is no IP address`);
  }
}

export const overlaps = (one: AddressRange, other: AddressRange): boolean =>
  one.family === other.family && one.first <= other.last && other.first <= one.last;

export const contains = (outer: AddressRange, inner: AddressRange): boolean =>
  outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;

export const has = ({ family, first, last }: AddressRange, address: { family: Family; number: bigint }): boolean =>
  family === address.family && first <= address.number && address.number <= last;
