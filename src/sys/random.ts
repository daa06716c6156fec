/** Random bytes from the kernel. */
import { sys } from "./ffi.ts";

/** `size` random bytes fit for keys, getrandom(2). Blocks only while the machine boots. */
export function getrandom(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const rest = done === 0 ? bytes : bytes.subarray(done);
    done += sys("getrandom", undefined, rest, rest.byteLength, 0);
  }
  return bytes;
}
