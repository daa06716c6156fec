/** The file a shim leaves when its first process has ended (docs/shim.md, "Exit"). */
import { OnggiError } from "../lib/errors.ts";
import { type Exit, type Failure, indexOf, sectionOf, waitStatus } from "./protocol.ts";

const MAGIC = 0x31474e4f;
const SIZE = 32;

export interface ExitRecord extends Exit {
  /** Why it never started; null if it did. */
  readonly failure: Failure | null;
}

/** @throws OnggiError `exit_record_damaged`: the file is not what a shim writes; it is written whole, so the disk changed it */
export function decodeExitRecord(bytes: Uint8Array): ExitRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < SIZE || view.getUint32(0, true) !== MAGIC) {
    const found = bytes.length < SIZE ? `${bytes.length} bytes` : `magic 0x${view.getUint32(0, true).toString(16)}`;
    throw new OnggiError(
      "exit_record_damaged",
      `an exit record has ${SIZE} bytes and magic 0x${MAGIC.toString(16)}; found ${found}`,
    );
  }
  const status = view.getInt32(4, true);
  const flags = view.getUint32(8, true);
  const neverStarted = (flags & 2) !== 0;
  const failure = (): Failure => ({
    section: sectionOf(view.getUint32(24, true)),
    index: indexOf(view.getUint32(28, true)),
    errno: view.getUint32(12, true),
    text: "",
  });
  return {
    waitStatus: status,
    ...waitStatus(status),
    oomKilled: (flags & 1) !== 0,
    at: view.getBigUint64(16, true),
    neverStarted,
    failure: neverStarted ? failure() : null,
  };
}
