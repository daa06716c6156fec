/** What is set once per namespace: names, kernel parameters, the loopback device. */
import type { Reg } from "../plan/ops.ts";
import { AF, FSMOUNT, FSOPEN, O, SOCK } from "../sys/constants.ts";
import { type Context, STRICTLY_BELOW } from "./compile-context.ts";
import type { MadeMounts } from "./compile-filesystem.ts";

const utf8 = new TextEncoder();

export function compileNames({ child, spec }: Context): void {
  if (spec.hostname) child.about("namespaces", "name the host").do({ kind: "sethostname", name: utf8.encode(spec.hostname) });
  if (spec.domainname) {
    child.about("namespaces", "name the domain").do({ kind: "setdomainname", name: utf8.encode(spec.domainname) });
  }
}

/** "net.ipv4.ip_forward" and "net/ipv4/conf/eth0.1/forwarding" -> path below /proc/sys; the first separator decides, sysctl(8). */
export function sysctlPath(name: string): string {
  const slash = name.indexOf("/");
  const dot = name.indexOf(".");
  if (slash >= 0 && (dot < 0 || slash < dot)) return name;
  return name.replace(/[./]/g, (separator) => (separator === "." ? "/" : "."));
}

/** Written through our own procfs mount: nothing in the image can stand in for it (CVE-2025-52881). */
export function compileSysctls(context: Context, made: MadeMounts): void {
  const { child, spec } = context;
  const wanted = Object.entries(spec.linux?.sysctl ?? {});
  if (wanted.length === 0) return;
  const proc = made.proc ?? privateProc(child);
  for (const [name, value] of wanted) {
    child.about("process", `set ${name} to ${value}`);
    const flags = O.O_WRONLY | O.O_CLOEXEC;
    const path = `sys/${sysctlPath(name)}`;
    const fd = child.keep({ kind: "open", dir: proc, path, flags, mode: 0, resolve: STRICTLY_BELOW });
    child.do({ kind: "write", fd, data: utf8.encode(value) }).close(fd);
  }
  if (made.proc === undefined) child.close(proc);
}

/** A procfs of ours that is mounted nowhere. */
export function privateProc(child: Context["child"]): Reg {
  child.about("process", "open a procfs that nothing can stand in for");
  const fs = child.keep({ kind: "fsopen", fstype: "proc", flags: FSOPEN.FSOPEN_CLOEXEC });
  child.do({ kind: "fsconfigCreate", fs });
  const proc = child.keep({ kind: "fsmount", fs, flags: FSMOUNT.FSMOUNT_CLOEXEC, attrs: 0 });
  child.close(fs);
  return proc;
}

const SIOCSIFFLAGS = 0x8914;
const IFF_UP = 1;

/** A new network namespace has a loopback device that is down. */
export function compileLoopback(context: Context): void {
  const { child } = context;
  if (!context.makes("network")) return;
  child.about("network", "set the loopback device up");
  const socket = child.keep({ kind: "socket", domain: AF.AF_INET, type: SOCK.SOCK_DGRAM | SOCK.SOCK_CLOEXEC, protocol: 0 });
  // struct ifreq, netdevice(7): 16 bytes of name, then a union of 24
  const ifreq = new Uint8Array(40);
  ifreq.set(utf8.encode("lo"));
  ifreq[16] = IFF_UP;
  child.do({ kind: "ioctlData", fd: socket, request: SIOCSIFFLAGS, data: ifreq }).close(socket);
}
