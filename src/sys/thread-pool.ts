import { dlopen, FFIType, ptr } from "bun:ffi";

/**
 * Gives Bun's thread pool room for `threads` threads, unless UV_THREADPOOL_SIZE says otherwise. By default it has as many as there
 * are processors, and one that waits for the disk in fsync(2) then keeps a processor from decompressing. Bun reads its environment
 * when the pool is first used, and from libc's copy, which `process.env` does not write to: so this comes before all other work.
 */
export function sizeThreadPool(threads: number): void {
  const { symbols, close } = dlopen("libc.so.6", {
    setenv: { args: [FFIType.ptr, FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  });
  symbols.setenv(ptr(Buffer.from("UV_THREADPOOL_SIZE\0")), ptr(Buffer.from(`${threads}\0`)), 0);
  close();
}
