import { Outbox as ByteOutbox } from "../../lib/outbox.ts";
import { HEADER } from "./frames.ts";

export type { Writable } from "../../lib/outbox.ts";

/** Sends whole frames. */
export class Outbox extends ByteOutbox {
  /** A frame of this type; a payload that has to wait is copied. */
  sendData(type: number, payload: Uint8Array): Promise<void> | undefined {
    const header = new Uint8Array(HEADER);
    new DataView(header.buffer).setUint32(0, payload.length, true);
    header[4] = type;
    return this.sendParts(header, payload);
  }
}
