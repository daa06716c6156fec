/** Frames as they are, packet(7). */
import { AF, SOCK } from "./constants.ts";
import { sys } from "./ffi.ts";
import { close } from "./file.ts";

/** Sends whole frames by a link of this thread's network namespace. @throws SysError ENETDOWN, ENXIO if there is no such link */
export function sendFrames(index: number, frames: readonly Uint8Array[]): void {
  // Protocol 0: nothing is received.
  const fd = sys("socket", "packet", AF.AF_PACKET, SOCK.SOCK_RAW | SOCK.SOCK_CLOEXEC, 0);
  try {
    const to = new Uint8Array(20);
    const view = new DataView(to.buffer);
    view.setUint16(0, AF.AF_PACKET, true);
    view.setInt32(4, index, true);
    for (const frame of frames) sys("sendto", `link ${index}`, fd, frame, frame.length, 0, to, to.length);
  } finally {
    close(fd);
  }
}
