/** Switches below /proc/sys/net of containers' namespaces. */
import { close, isErrno, mountFs, O, open, openat, writeAll } from "../sys/index.ts";

/** Writes by one tree of procfs. */
const USES = 64;

/**
 * Writes switches of the network namespace that the thread is in. The kernel finds a name of /proc/sys/net among the same names of all
 * namespaces that were looked at by one mounted procfs, so that with a thousand containers a write takes many times what the first
 * one did: this has a procfs of its own, mounted nowhere, and takes another from time to time.
 */
export class NamespaceSysctls {
  #proc = -1;
  #uses = 0;

  /** "ipv6/conf/eth0/accept_ra". Nothing happens where the kernel has none of that name. */
  write(name: string, value: string): void {
    try {
      const fd = openat(this.#tree(), `sys/net/${name}`, O.O_WRONLY | O.O_CLOEXEC);
      try {
        writeAll(fd, value);
      } finally {
        close(fd);
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }

  #tree(): number {
    this.#uses += 1;
    if (this.#proc >= 0 && this.#uses < USES) return this.#proc;
    this.close();
    try {
      this.#proc = mountFs("proc");
    } catch (error) {
      // In a container that has no procfs of its own one may not mount another.
      if (!isErrno(error, "EPERM")) throw error;
      this.#proc = open("/proc", O.O_PATH | O.O_CLOEXEC);
    }
    this.#uses = 0;
    return this.#proc;
  }

  close(): void {
    if (this.#proc >= 0) close(this.#proc);
    this.#proc = -1;
  }
}
