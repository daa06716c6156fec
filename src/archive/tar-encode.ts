/**
 * Writes tar members: ustar where it can say it, a PAX header before it where it cannot (long or odd names, large numbers,
 * nanoseconds, extended attributes). The reverse of tar.ts for everything but sparse files, which are written in full.
 */
import { writeBytes } from "./bytes.ts";
import { BLOCK } from "./tar-fields.ts";
import type { TarEntry } from "./tar-types.ts";

export type NewEntry = Pick<TarEntry, "type" | "name"> &
  Partial<Omit<TarEntry, "type" | "name" | "offset" | "stored" | "sparse" | "at">>;

const letters: Record<TarEntry["type"], string> = {
  file: "0",
  link: "1",
  symlink: "2",
  char: "3",
  block: "4",
  dir: "5",
  fifo: "6",
};

const octal = (block: Buffer, at: number, length: number, value: number): void => {
  writeBytes(block, `${value.toString(8).padStart(length - 1, "0")}\0`, at);
};

const record = (key: string, value: string): string => {
  const body = ` ${key}=${value}\n`;
  let length = body.length + 1;
  while (`${length}`.length + body.length !== length) length = `${length}`.length + body.length;
  return `${length}${body}`;
};

const timeText = (seconds: number, nanoseconds: number): string => {
  const negative = seconds < 0 && nanoseconds > 0;
  const whole = negative ? -seconds - 1 : seconds;
  const fraction = negative ? 1e9 - nanoseconds : nanoseconds;
  return `${negative ? "-" : ""}${whole}${fraction > 0 ? `.${`${fraction}`.padStart(9, "0")}` : ""}`;
};

const fits = (value: number, digits: number): boolean => value >= 0 && value < 8 ** digits;

const paxOf = (entry: NewEntry): string => {
  let pax = "";
  if (entry.name.length > 99) pax += record("path", entry.name);
  if ((entry.link ?? "").length > 99) pax += record("linkpath", entry.link!);
  if (!fits(entry.size ?? 0, 11)) pax += record("size", `${entry.size}`);
  if (!fits(entry.uid ?? 0, 7)) pax += record("uid", `${entry.uid}`);
  if (!fits(entry.gid ?? 0, 7)) pax += record("gid", `${entry.gid}`);
  if (!fits(entry.mtime ?? 0, 11) || (entry.mtimeNs ?? 0) > 0)
    pax += record("mtime", timeText(entry.mtime ?? 0, entry.mtimeNs ?? 0));
  for (const { name, value } of entry.xattrs ?? []) pax += record(`SCHILY.xattr.${name}`, Buffer.from(value).toString("latin1"));
  return pax;
};

const block = (entry: NewEntry, letter: string, size: number): Buffer => {
  const header = Buffer.alloc(BLOCK);
  const small = (value: number | undefined, digits: number): number => (fits(value ?? 0, digits) ? (value ?? 0) : 0);
  writeBytes(header, entry.name.slice(0, 99), 0);
  octal(header, 100, 8, entry.mode ?? (entry.type === "dir" ? 0o755 : 0o644));
  octal(header, 108, 8, small(entry.uid, 7));
  octal(header, 116, 8, small(entry.gid, 7));
  octal(header, 124, 12, small(size, 11));
  octal(header, 136, 12, small(entry.mtime, 11));
  writeBytes(header, "        ", 148);
  writeBytes(header, letter, 156);
  writeBytes(header, (entry.link ?? "").slice(0, 99), 157);
  writeBytes(header, "ustar\x0000", 257);
  octal(header, 329, 8, entry.major ?? 0);
  octal(header, 337, 8, entry.minor ?? 0);
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += header[i]!;
  writeBytes(header, `${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
};

/** The blocks that precede an entry's data. */
export const encodeHeader = (entry: NewEntry): Buffer => {
  const name = entry.type === "dir" ? `${entry.name}/` : entry.name;
  const named = { ...entry, name };
  const pax = paxOf(named);
  const size = entry.type === "file" ? (entry.size ?? 0) : 0;
  const header = block(named, letters[entry.type], size);
  if (pax === "") return header;
  const payload = Buffer.alloc(Math.ceil(pax.length / BLOCK) * BLOCK);
  writeBytes(payload, pax, 0);
  return Buffer.concat([block({ type: "file", name: "PaxHeaders/entry" }, "x", pax.length), payload, header]);
};

/** The zeros that follow `size` bytes of data. */
export const padding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** An entry with its data, padded. */
export const encodeEntry = (entry: NewEntry, data?: Uint8Array): Buffer => {
  if (!data) return encodeHeader(entry);
  return Buffer.concat([encodeHeader({ ...entry, size: data.length }), data, padding(data.length)]);
};

/** The two zero blocks that end an archive. */
export const archiveEnd = (): Buffer => Buffer.alloc(2 * BLOCK);
