/**
 * The shim's executable. The compiled `onggi` carries it, and runs it from a sealed file in memory: an engine and its shims share
 * one copy, engines of different versions side by side never touch each other's, and a container that gets hold of the
 * executable (CVE-2019-5736) holds a file that nobody can write to.
 */
import { readFileSync } from "node:fs";
import embedded from "../../build/onggi-shim" with { type: "file" };
import { messageOf, OnggiError } from "../lib/errors.ts";
import { F_SEAL, MFD } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { memfd, seal } from "../sys/file.ts";
import { writeAll } from "../sys/io.ts";

const SEALS = F_SEAL.F_SEAL_SEAL | F_SEAL.F_SEAL_SHRINK | F_SEAL.F_SEAL_GROW | F_SEAL.F_SEAL_WRITE;

/** memfd_create(2) with MFD_EXEC, which kernels before 6.3 do not know. */
function executableMemfd(name: string): number {
  try {
    return memfd(name, MFD.MFD_ALLOW_SEALING | MFD.MFD_EXEC);
  } catch (error) {
    if (!isErrno(error, "EINVAL")) throw error;
    return memfd(name, MFD.MFD_ALLOW_SEALING);
  }
}

/**
 * The path of an executable shim, as this process can spawn it: `ONGGI_SHIM` if it is set (tests), otherwise a sealed copy in
 * memory, which stays as long as this process.
 * @throws OnggiError `shim_missing` when this build carries none or the host forbids executables in memory
 */
export function shimInMemory(): string {
  const chosen = process.env.ONGGI_SHIM;
  if (chosen) return chosen;
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(embedded);
  } catch (error) {
    throw new OnggiError(
      "shim_missing",
      `this build of onggi carries no shim (${embedded}): ${messageOf(error)}; build it with make`,
    );
  }
  try {
    const fd = executableMemfd("onggi-shim");
    writeAll(fd, bytes);
    seal(fd, SEALS);
    return `/proc/self/fd/${fd}`;
  } catch (error) {
    throw new OnggiError("shim_missing", `the shim cannot run from memory: ${messageOf(error)}; is vm.memfd_noexec set?`);
  }
}
