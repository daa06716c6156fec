/**
 * A small tar writer for tests: ustar headers (pax(1), POSIX.1-2017) with exactly the fields that were asked for, so that archives
 * can be as wrong as a test wants them. Same input, same bytes.
 */

export interface TarEntry {
  readonly name: string | Uint8Array;
  /** "0" file, "1" hard link, "2" symbolic link, "3" and "4" devices, "5" directory, "6" FIFO, "x" PAX record. Default "0". */
  readonly type?: string;
  readonly data?: Uint8Array | string;
  /** Size in the header when it shall differ from the data's. */
  readonly size?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Unix seconds. */
  readonly mtime?: number;
  readonly link?: string | Uint8Array;
  readonly major?: number;
  readonly minor?: number;
}

const BLOCK = 512;
const encoder = new TextEncoder();

/** The archive in one piece, with its two empty blocks at the end unless `end` is false. */
export function tar(entries: readonly TarEntry[], end = true): Uint8Array {
  const parts = entries.flatMap((entry) => blocks(entry));
  if (end) parts.push(new Uint8Array(2 * BLOCK));
  return new Uint8Array(Buffer.concat(parts));
}

function blocks(entry: TarEntry): Uint8Array[] {
  const data = typeof entry.data === "string" ? encoder.encode(entry.data) : (entry.data ?? new Uint8Array());
  const padding = (BLOCK - (data.length % BLOCK)) % BLOCK;
  return [header(entry, entry.size ?? data.length), data, new Uint8Array(padding)];
}

function header(entry: TarEntry, size: number): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const bytes = (at: number, length: number, value: string | Uint8Array): void => {
    const encoded = typeof value === "string" ? encoder.encode(value) : value;
    if (encoded.length > length) throw new RangeError(`${value}: longer than the ${length} bytes of its field`);
    block.set(encoded, at);
  };
  const octal = (at: number, length: number, value: number): void =>
    bytes(at, length - 1, value.toString(8).padStart(length - 1, "0"));
  bytes(0, 100, entry.name);
  octal(100, 8, entry.mode ?? (entry.type === "5" ? 0o755 : 0o644));
  octal(108, 8, entry.uid ?? 0);
  octal(116, 8, entry.gid ?? 0);
  octal(124, 12, size);
  octal(136, 12, entry.mtime ?? 1_700_000_000);
  bytes(148, 8, "        ");
  bytes(156, 1, entry.type ?? "0");
  bytes(157, 100, entry.link ?? "");
  bytes(257, 8, "ustar\x0000");
  octal(329, 8, entry.major ?? 0);
  octal(337, 8, entry.minor ?? 0);
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  );
  block[155] = 0x20;
  return block;
}

/**
 * Chunks of a tar of `count` small files in directories of 100, 200 to 12,000 bytes each (about 6 KiB on average, as the files of
 * a node_modules or a Python tree), contents from a fixed generator; another `salt` makes other contents of the same sizes.
 */
export function* manyFiles(count: number, salt = 0): Generator<Uint8Array> {
  let seed = 0x2545f491;
  const random = (): number => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
  const pool = new Uint8Array(64 * 1024);
  for (let at = 0; at < pool.length; at += 1) pool[at] = random();
  yield* blocks({ name: "files/", type: "5" });
  for (let index = 0; index < count; index += 1) {
    const directory = `files/d${Math.floor(index / 100)}/`;
    if (index % 100 === 0) yield* blocks({ name: directory, type: "5" });
    const start = random() % 50_000;
    const data = pool.slice(start, start + 200 + (random() % 11_800));
    // No two files alike, so that nothing gains by deduplication.
    const view = new DataView(data.buffer);
    view.setUint32(0, index);
    view.setUint32(4, salt);
    yield* blocks({ name: `${directory}file-${index}.txt`, data });
  }
  yield new Uint8Array(2 * BLOCK);
}
