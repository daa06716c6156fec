/** bpf(2): loading programs and attaching them to cgroups (version 2). Needs CAP_BPF, or CAP_SYS_ADMIN for devices. */
import { BPF } from "./constants.ts";
import { SysError } from "./errno.ts";
import { type About, address, keep, stable, sys } from "./ffi.ts";

/**
 * A raw command. `attr` is the start of union bpf_attr; addresses in it point to buffers that the caller keeps.
 * @throws SysError
 */
export const bpf = (command: number, attr: Uint8Array, about?: About): number =>
  sys("bpf", about, command, attr, attr.byteLength);

/** union bpf_attr: u32 fields by offset, and pointers. */
function attribute(
  size: number,
  fields: Readonly<Record<number, number>>,
  pointers: Readonly<Record<number, Uint8Array>> = {},
): Uint8Array {
  const bytes = stable(size);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of Object.entries(fields)) view.setUint32(Number(at), value, true);
  for (const [at, buffer] of Object.entries(pointers)) view.setBigUint64(Number(at), address(buffer), true);
  return bytes;
}

const copy = (bytes: Uint8Array): Uint8Array => {
  const fixed = stable(bytes.length);
  fixed.set(bytes);
  return fixed;
};

/**
 * Loads a program.
 * @param type BPF_PROG_TYPE_*
 * @param instructions struct bpf_insn, 8 bytes each
 * @param license "GPL" for helpers that ask for it
 * @param attachType expected attach type, where the program type has several
 * @throws SysError with the verifier's log as `detail`: EACCES or EINVAL if it refuses the program
 */
export function loadProgram(type: number, instructions: Uint8Array, license = "Apache-2.0", attachType = 0): number {
  const code = copy(instructions);
  const terms = copy(new TextEncoder().encode(`${license}\0`));
  const fields = { 0: type, 4: instructions.length / 8, 68: attachType };
  try {
    return bpf(BPF.BPF_PROG_LOAD, attribute(72, fields, { 8: code, 16: terms }), "program");
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new SysError("bpf", error.errno, { path: "program", detail: verifierLog(fields, code, terms) });
  } finally {
    keep(code, terms);
  }
}

/** Loads once more to hear why: the log costs time, so the first try goes without. */
function verifierLog(fields: Readonly<Record<number, number>>, code: Uint8Array, terms: Uint8Array): string {
  const log = stable(64 * 1024);
  const attr = attribute(72, { ...fields, 24: 1, 28: log.length }, { 8: code, 16: terms, 32: log });
  try {
    bpf(BPF.BPF_PROG_LOAD, attr);
  } catch {
    // The refusal is known; its reason is in the log.
  }
  keep(log, code, terms);
  return new TextDecoder().decode(log.subarray(0, log.indexOf(0))).trim();
}

/**
 * Attaches a program to a cgroup. With BPF_F_ALLOW_MULTI all programs of the cgroup and of its ancestors run, and each must
 * allow. It stays when `programFd` is closed, until it is detached or the cgroup is removed.
 * @param attachType BPF_CGROUP_DEVICE and its like
 * @param replaceFd with BPF_F_REPLACE: the program whose place it takes, atomically
 */
export function cgroupAttach(
  cgroupFd: number,
  programFd: number,
  attachType: number,
  flags: number = BPF.BPF_F_ALLOW_MULTI,
  replaceFd = 0,
): void {
  bpf(BPF.BPF_PROG_ATTACH, attribute(20, { 0: cgroupFd, 4: programFd, 8: attachType, 12: flags, 16: replaceFd }), cgroupFd);
}

/** Detaches a program from a cgroup. ENOENT if it is not attached there. */
export function cgroupDetach(cgroupFd: number, programFd: number, attachType: number): void {
  bpf(BPF.BPF_PROG_DETACH, attribute(16, { 0: cgroupFd, 4: programFd, 8: attachType }), cgroupFd);
}

/** The ids of a cgroup's own programs of a type; with BPF_F_QUERY_EFFECTIVE those of its ancestors too. */
export function cgroupQuery(cgroupFd: number, attachType: number, flags = 0): number[] {
  const room = 64; // BPF_CGROUP_MAX_PROGS: the kernel attaches no more to one cgroup
  const ids = stable(room * 16 * 4);
  const attr = attribute(32, { 0: cgroupFd, 4: attachType, 8: flags, 24: room * 16 }, { 16: ids });
  bpf(BPF.BPF_PROG_QUERY, attr, cgroupFd);
  keep(ids);
  const count = new DataView(attr.buffer).getUint32(24, true);
  return [...new Uint32Array(ids.buffer, 0, count)];
}

/** A descriptor of a loaded program by its id. ENOENT if it is gone. */
export const programById = (id: number): number => bpf(BPF.BPF_PROG_GET_FD_BY_ID, attribute(12, { 0: id }), `program ${id}`);
