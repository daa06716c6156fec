/**
 * Network namespaces of others, named by a path: "/run/netns/NAME", "/proc/PID/ns/net".
 *
 * They are opened by the engine, as root. That is safe: whoever names the path may speak to the engine's socket, so is root himself
 * and could enter the namespace without asking; nothing is read of the file or written to it; it is opened for reading only when it is
 * known to be of the file system of namespaces (NSFS_MAGIC), so that no device or pipe is touched; and what is not a network namespace,
 * or is the host's own, is refused. Links on the way are followed: the descriptor is looked at, not the path.
 */
import { messageOf } from "../lib/errors.ts";
import {
  CLONE,
  close,
  fstat,
  isErrno,
  MAGIC,
  namespaceKind,
  networkNamespaceCookie,
  O,
  open,
  RT,
  Rtnetlink,
  setLink,
  statfs,
} from "../sys/index.ts";
import { NetworkError } from "./errors.ts";
import type { Attachment } from "./types.ts";

export interface ForeignNamespace {
  /** The caller closes it. */
  readonly fd: number;
  /** "device:inode:cookie": no other namespace has it before the machine is restarted. */
  readonly identity: string;
}

const invalid = (path: string, why: string, cause?: unknown): NetworkError =>
  new NetworkError("namespace_invalid", `${path} ${why}`, { cause });

/** Nothing is there, or what was there has ended. */
const isMissing = (error: unknown): boolean =>
  (["ENOENT", "ENOTDIR", "ESRCH", "EACCES"] as const).some((name) => isErrno(error, name));

/** @throws NetworkError namespace_invalid for what is no network namespace, is not there or is the host's; SysError */
export function openForeign(path: string): ForeignNamespace {
  const fd = openNamespace(path);
  try {
    if (namespaceKind(fd) !== CLONE.CLONE_NEWNET) throw invalid(path, "is a namespace of another kind, not a network namespace");
    const identity = identityOf(fd);
    if (identity === ownIdentity()) throw invalid(path, "is the host's own network namespace");
    return { fd, identity };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function openNamespace(path: string): number {
  let handle: number;
  try {
    handle = open(path, O.O_PATH | O.O_CLOEXEC);
  } catch (error) {
    if (!isMissing(error)) throw error;
    throw invalid(path, `is no network namespace: ${messageOf(error)}`, error);
  }
  try {
    if (statfs(handle).type !== MAGIC.NSFS_MAGIC) throw invalid(path, "is no network namespace, as the engine sees it");
    return open(`/proc/self/fd/${handle}`, O.O_RDONLY | O.O_CLOEXEC);
  } finally {
    close(handle);
  }
}

function identityOf(fd: number): string {
  const { dev, ino } = fstat(fd);
  return `${dev}:${ino}:${networkNamespaceCookie(fd)}`;
}

function ownIdentity(): string {
  const fd = open("/proc/thread-self/ns/net", O.O_RDONLY | O.O_CLOEXEC);
  try {
    return identityOf(fd);
  } finally {
    close(fd);
  }
}

/** Whether a path still leads to the namespace that had this identity. Anything that cannot be told counts as yes. */
export function isSameNamespace(path: string, identity: string): boolean {
  try {
    const found = openForeign(path);
    close(found.fd);
    return found.identity === identity;
  } catch (error) {
    return !(error instanceof NetworkError);
  }
}

/** What a namespace has before an interface is made in it. */
export interface Premises {
  readonly interfaces: ReadonlySet<string>;
  /** Somebody has given it a default route. */
  readonly hasDefaultRoute: boolean;
}

/** Looks around, and switches the loopback device on, which names need and nobody may have done yet. */
export function enterPremises(fd: number): Premises {
  const net = Rtnetlink.inNamespace(fd);
  try {
    const links = net.linkList();
    const loopback = links.find(({ name }) => name === "lo");
    if (loopback?.up === false) net.batch([setLink({ index: loopback.index, up: true })]);
    return {
      interfaces: new Set(links.map(({ name }) => name)),
      hasDefaultRoute: net.routeList().some(({ to, type }) => to === "default" && type === RT.RTN_UNICAST),
    };
  } finally {
    net.close();
  }
}

/**
 * Looks whether an interface is as it was made: there, up, with its addresses, and its other end on the host up too. Its hardware address
 * and its routes are others' to change. @throws NetworkError attachment_broken
 */
export function checkAttachment(fd: number, attachment: Attachment): void {
  const { interface: name, hostInterface } = attachment;
  const broken = (why: string): NetworkError => new NetworkError("attachment_broken", why);
  const inside = Rtnetlink.inNamespace(fd);
  try {
    const link = inside.linkByName(name);
    if (link === null) throw broken(`there is no interface ${name} any more`);
    if (!link.up) throw broken(`interface ${name} is switched off`);
    const has = new Set(inside.addressList(link.index).map(({ ip, prefixLength }) => `${ip}/${prefixLength}`));
    for (const [ip, length] of [
      [attachment.ipv4, attachment.ipv4PrefixLength] as const,
      [attachment.ipv6, attachment.ipv6PrefixLength] as const,
    ]) {
      if (ip !== null && !has.has(`${ip}/${length}`)) throw broken(`interface ${name} has lost its address ${ip}/${length}`);
    }
  } finally {
    inside.close();
  }
  if (hostInterface === "") return;
  const host = new Rtnetlink();
  try {
    const link = host.linkByName(hostInterface);
    if (link === null || !link.up || link.master === 0) {
      throw broken(`the host's end of ${name}, ${hostInterface}, is ${link === null ? "gone" : "not on its bridge, or off"}`);
    }
  } finally {
    host.close();
  }
}
