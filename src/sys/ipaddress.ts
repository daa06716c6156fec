/** Text and bytes of IP and hardware addresses. Pure. */

const v4part = /^(?:0|[1-9][0-9]{0,2})$/;
const v6group = /^[0-9a-fA-F]{1,4}$/;

function parseV4(text: string): number[] | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => v4part.test(part) && Number(part) <= 255)) return null;
  return parts.map(Number);
}

function groups(text: string): number[] | null {
  if (text === "") return [];
  const bytes: number[] = [];
  const parts = text.split(":");
  for (const [index, part] of parts.entries()) {
    const v4 = index === parts.length - 1 && part.includes(".") ? parseV4(part) : null;
    if (v4 !== null) bytes.push(...v4);
    else if (v6group.test(part)) bytes.push(Number.parseInt(part, 16) >> 8, Number.parseInt(part, 16) & 0xff);
    else return null;
  }
  return bytes;
}

function parseV6(text: string): number[] | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groups(halves[0]!);
  const tail = halves.length === 2 ? groups(halves[1]!) : [];
  if (head === null || tail === null || (halves.length === 2 && halves[0]!.includes("."))) return null;
  const missing = 16 - head.length - tail.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return null;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

/**
 * The 4 or 16 bytes of an address in network order, RFC 4291 section 2.2 for IPv6; no zone, no octal or short IPv4 forms.
 * @throws TypeError if the text is no address
 */
export function parseIp(text: string): Uint8Array {
  const bytes = text.includes(":") ? parseV6(text) : parseV4(text);
  if (bytes === null) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  return Uint8Array.from(bytes);
}

/** True for what `parseIp` takes. */
export const isIp = (text: string): boolean => (text.includes(":") ? parseV6(text) : parseV4(text)) !== null;

/** The canonical text, RFC 5952: lower case, the first longest run of two or more zero groups is "::". */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new TypeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  const words = Array.from({ length: 8 }, (_, index) => (bytes[index * 2]! << 8) | bytes[index * 2 + 1]!);
  if (words.slice(0, 5).every((word) => word === 0) && words[5] === 0xffff) return `::ffff:${bytes.subarray(12).join(".")}`;
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && words[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(":");
  return best.at < 0 ? hex(words) : `${hex(words.slice(0, best.at))}::${hex(words.slice(best.at + best.length))}`;
}

export interface Prefix {
  readonly bytes: Uint8Array;
  /** Bits of the network. */
  readonly length: number;
}

/**
 * "10.0.0.2/24", or an address alone, which has all its bits. Host bits stay as they are.
 * @throws TypeError
 */
export function parsePrefix(text: string): Prefix {
  const [ip, bits, ...rest] = text.split("/");
  const bytes = parseIp(ip!);
  const length = bits === undefined ? bytes.length * 8 : Number(bits);
  if (rest.length > 0 || (bits !== undefined && !v4part.test(bits)) || length > bytes.length * 8) {
    throw new TypeError(`not an IP prefix: ${JSON.stringify(text)}`);
  }
  return { bytes, length };
}

/** The six bytes of "02:42:ac:11:00:02". @throws TypeError */
export function parseMac(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5}$/.test(text))
    throw new TypeError(`not a hardware address: ${JSON.stringify(text)}`);
  return Uint8Array.from(text.split(":"), (part) => Number.parseInt(part, 16));
}

export const formatMac = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
