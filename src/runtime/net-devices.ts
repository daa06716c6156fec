/**
 * Network devices of the host's that a container gets, config-linux.md "Network Devices".
 *
 * Life: `moveNetDevices` before the container's program runs, while its network namespace is held open; there is no way
 * back by us. When the namespace ends, the kernel moves a physical device to the initial namespace, under the name it has then
 * ("dev%d" if that is taken), and destroys a virtual one (veth, macvlan, tun, ...). Where somebody else owns the namespace
 * (`path` in linux.namespaces), the devices stay in it when the container ends.
 */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Linux } from "../oci/spec.ts";
import {
  type Address,
  type AddressSpec,
  addAddress,
  close,
  fstat,
  IFA,
  IFF,
  type Link,
  O,
  open,
  RT,
  Rtnetlink,
  setLink,
} from "../sys/index.ts";

interface Move {
  /** Name of the property, for messages. */
  readonly where: string;
  readonly link: Link;
  /** The name in the container; "%d" stands for the first number that is free. */
  readonly name: string;
  readonly addresses: readonly AddressSpec[];
}

/**
 * Moves the devices from our network namespace to the one behind `netns`, gives each its name, the permanent addresses of
 * global scope it had, and sets it up. MTU, hardware address and alias go along by themselves; routes do not. Needs
 * CAP_NET_ADMIN in both namespaces.
 *
 * Everything is looked at before anything is moved; if a move fails after all, those made are taken back. Throws OnggiError
 * `invalid_net_device`.
 */
export function moveNetDevices(netns: number, devices: NonNullable<Linux["netDevices"]>): void {
  const wanted = Object.entries(devices);
  if (wanted.length === 0) return;
  const home = open("/proc/thread-self/ns/net", O.O_RDONLY | O.O_CLOEXEC);
  const sockets: Rtnetlink[] = [];
  try {
    refuseOwnNamespace(home, netns, wanted[0]?.[0] as string);
    const outside = new Rtnetlink();
    sockets.push(outside);
    const inside = Rtnetlink.inNamespace(netns);
    sockets.push(inside);
    const taken = new Set(inside.linkList().map(({ name }) => name));
    const moves = wanted.map(([device, { name }]) => plan(outside, taken, device, name || device));
    moveAll(outside, inside, { home, netns }, moves);
  } finally {
    for (const socket of sockets) socket.close();
    close(home);
  }
}

/** The same for the network namespace of a process. */
export function giveNetDevices(pid: number, devices: NonNullable<Linux["netDevices"]>): void {
  const netns = open(`/proc/${pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC);
  try {
    moveNetDevices(netns, devices);
  } finally {
    close(netns);
  }
}

function moveAll(
  outside: Rtnetlink,
  inside: Rtnetlink,
  { home, netns }: { readonly home: number; readonly netns: number },
  moves: readonly Move[],
): void {
  const made: { move: Move; index: number }[] = [];
  let where = "linux.netDevices";
  try {
    for (const move of moves) {
      where = move.where;
      const index = moveOne(outside, inside, netns, move);
      made.push({ move, index });
      inside.batch([...move.addresses.map((address) => addAddress({ ...address, index })), setLink({ index, up: true })]);
    }
  } catch (error) {
    for (const { move, index } of made.reverse()) takeBack(outside, inside, home, move, index);
    throw error instanceof OnggiError ? error : invalid(where, messageOf(error), error);
  }
}

const invalid = (where: string, problem: string, cause?: unknown): never => {
  throw new OnggiError("invalid_net_device", `${where}: ${problem}`, { cause });
};

function refuseOwnNamespace(home: number, netns: number, device: string): void {
  const [a, b] = [fstat(home), fstat(netns)];
  if (a.dev === b.dev && a.ino === b.ino)
    invalid(`linux.netDevices["${device}"]`, "the container's network namespace is the runtime's own: there is nothing to move");
}

function plan(outside: Rtnetlink, taken: Set<string>, device: string, name: string): Move {
  const where = `linux.netDevices[${JSON.stringify(device)}]`;
  const link = outside.linkByName(device);
  if (link === null) return invalid(where, "this host has no such network device");
  if (link.flags & IFF.IFF_LOOPBACK) return invalid(where, "the loopback device belongs to its namespace");
  if (!name.includes("%d") && taken.has(name))
    return invalid(where, `the container's network namespace has a device ${JSON.stringify(name)} already`);
  taken.add(name);
  return { where, link, name, addresses: outside.addressList(link.index).filter(isKept).map(specOf) };
}

/** What is meant to last and to be reached from elsewhere; the rest was made up by the kernel, or by a lease. */
const isKept = ({ scope, flags }: Address): boolean => scope === RT.RT_SCOPE_UNIVERSE && (flags & IFA.IFA_F_PERMANENT) !== 0;

const specOf = ({ index, ip, prefixLength, scope, flags, peer, broadcast }: Address): AddressSpec => ({
  index,
  prefix: `${ip}/${prefixLength}`,
  scope,
  flags: flags & (IFA.IFA_F_NODAD | IFA.IFA_F_NOPREFIXROUTE),
  ...(peer === undefined ? {} : { peer }),
  ...(broadcast === undefined ? {} : { broadcast }),
});

/** Returns the device's index in the container, which is another if that number is taken there. */
function moveOne(outside: Rtnetlink, inside: Rtnetlink, netns: number, { where, link, name }: Move): number {
  const before = new Set(inside.linkList().map(({ index }) => index));
  outside.setLinkNetns(link.index, netns, name);
  const moved = inside.linkList().find(({ index }) => !before.has(index));
  return moved?.index ?? invalid(where, "it is not in the container's network namespace after the move");
}

/** Best effort: what fails here must not hide why it is done. */
function takeBack(outside: Rtnetlink, inside: Rtnetlink, home: number, { link, addresses }: Move, index: number): void {
  try {
    inside.setLinkNetns(index, home, link.name);
    const { index: back } = outside.requireLink(link.name);
    outside.batch([
      ...addresses.map((address) => addAddress({ ...address, index: back })),
      ...(link.up ? [setLink({ index: back, up: true })] : []),
    ]);
  } catch {
    // the device stays in the namespace it was moved to
  }
}
