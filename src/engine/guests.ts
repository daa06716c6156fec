/**
 * **Guests**: sandboxes of others (pods of containerd, containers of podman ...) that have an interface in a network of ours. The CNI
 * plugin asks for it. A guest lasts as long as the namespace that it was made with; who makes and ends that is its runtime's matter.
 */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { ADDRESS as RESOLVER_ADDRESS, removeRules } from "../networks/dns/index.ts";
import { checkAttachment, enterPremises, isSameNamespace, openForeign } from "../networks/foreign-namespace.ts";
import { type Endpoint, NetworkError, type Sandbox } from "../networks/index.ts";
import { close } from "../sys/index.ts";
import { type Context, inBackground } from "./context.ts";
import type { GuestInterface, GuestRecord } from "./guest-table.ts";
import { everyFamily, forgetNetworks, hasNames, type Named, nameContainer } from "./networking.ts";
import type { GuestAttachment, GuestReference, GuestRequest } from "./types.ts";

/** No container's id begins so. */
const guestId = (containerId: string): string => `cni-${containerId}`;

/** A guest that is given no name has its id's, if that can be one; of 64 hex digits as many as Docker shows. */
const nameOf = ({ name, containerId }: GuestRequest): string =>
  name ?? (containerId.length > 63 ? containerId.slice(0, 12) : containerId);

/** How often it is looked for guests whose namespace has gone without a word, in milliseconds. */
const LOOK_EVERY = 30_000;

class GuestNotFound extends OnggiError {
  constructor(containerId: string, name: string) {
    super("guest_not_found", `sandbox ${containerId} has no interface ${name} in a network of this engine`);
  }
}

/** What the resolver is told of a guest. */
const namedOf = ({ id, name, dns }: GuestRecord): Named => ({ id, name, request: { dns: [...dns] } });

const isHere = (context: Context, { bootId, netns, identity }: GuestRecord): boolean =>
  bootId === context.bootId && isSameNamespace(netns, identity);

/** By the runtime's id, ours, a name, or the unique beginning of an id. */
export function findGuest({ guests }: Context, reference: string): GuestRecord | undefined {
  const all = guests.all();
  const exact = all.find(({ id, containerId, name }) => [id, containerId, name].includes(reference));
  if (exact || reference === "") return exact;
  const found = all.filter(({ id, containerId }) => id.startsWith(reference) || containerId.startsWith(reference));
  return found.length === 1 ? found[0] : undefined;
}

/** Runs `work` in sight of a guest's namespace, or of null if it has gone. */
async function inSandbox<T>(
  { id, name, netns, identity }: GuestRecord,
  work: (sandbox: Sandbox | null) => Promise<T>,
): Promise<T> {
  let found: ReturnType<typeof openForeign>;
  try {
    found = openForeign(netns);
  } catch (error) {
    if (error instanceof NetworkError) return work(null);
    throw error;
  }
  try {
    return await work(found.identity === identity ? { container: id, netns: found.fd, name } : null);
  } finally {
    close(found.fd);
  }
}

/**
 * Gives a sandbox an interface. All or nothing. Throws namespace_invalid, interface_exists, and what Networks.connect and
 * Networks.attachOne throw.
 */
function attach(context: Context, request: GuestRequest): Promise<GuestAttachment> {
  const id = guestId(request.containerId);
  return context.guests.locked(id, async () => {
    const { fd, identity } = openForeign(request.netns);
    try {
      const former = context.guests.get(id);
      // of another life of the sandbox, whose end nobody told
      if (former && former.identity !== identity) await forgetGuest(context, former);
      return await attachIn(context, request, { container: id, netns: fd, name: nameOf(request) }, identity);
    } finally {
      close(fd);
    }
  });
}

async function attachIn(context: Context, request: GuestRequest, sandbox: Sandbox, identity: string): Promise<GuestAttachment> {
  const { networks, guests } = context;
  const { container: id, netns: fd } = sandbox;
  const { containerId, netns, configuration, dns = [] } = request;
  const network = networks.get(request.network);
  const { interfaces, hasDefaultRoute } = enterPremises(fd);
  if (interfaces.has(request.interface))
    throw new NetworkError("interface_exists", `the sandbox has an interface ${request.interface} already`);
  const own = networks.endpointsOf(id);
  if (own.some((endpoint) => endpoint.network === network.id)) {
    throw new NetworkError(
      "endpoint_exists",
      `sandbox ${containerId} is in network ${network.name} already: once is all it can be`,
    );
  }
  const leadsOut = own.some(({ attached }) => attached?.ipv4Gateway || attached?.ipv6Gateway);
  const known = guests.get(id) ?? {
    id,
    containerId,
    name: nameOf(request),
    identity,
    bootId: context.bootId,
    dns,
    interfaces: [],
  };
  const added: GuestInterface = { interface: request.interface, network: network.id, configuration };
  const guest: GuestRecord = { ...known, netns, interfaces: [...known.interfaces, added] };
  guests.put(guest);
  try {
    networks.connect({
      ...{ network: network.id, container: id, interface: request.interface, transient: true },
      // the default network has no names
      aliases: network.predefined ? [] : (request.aliases ?? []),
      ...(request.ipv4 === undefined ? {} : { ipv4: request.ipv4 }),
      ...(request.ipv6 === undefined ? {} : { ipv6: request.ipv6 }),
      ...(request.mac === undefined ? {} : { mac: request.mac }),
      ...(request.bandwidth === undefined ? {} : { bandwidth: request.bandwidth }),
      // the default route stays where it is, and moves when that interface goes
      gatewayPriority: Math.min(0, ...own.map(({ gatewayPriority }) => gatewayPriority)) - 1,
      withoutGateway: request.defaultRoute === false || (hasDefaultRoute && !leadsOut),
    });
    await networks.attachOne(sandbox, network.id, (request.publish ?? []).flatMap(everyFamily));
    await nameContainer(context, namedOf(guest), networks.endpointsOf(id), fd);
  } catch (error) {
    await detachIn(context, guest, added, sandbox).catch((failure: unknown) =>
      context.log(`sandbox ${containerId}: taking back what it had got: ${messageOf(failure)}`),
    );
    throw error;
  }
  context.events.emit("network", "connect", network.id, { container: id, name: network.name });
  return attachmentOf(context, guest, added);
}

function attachmentOf({ networks }: Context, { id }: GuestRecord, { network }: GuestInterface): GuestAttachment {
  const endpoints = networks.endpointsOf(id);
  const endpoint = endpoints.find((one) => one.network === network)!;
  const leads = (family: "ipv4Gateway" | "ipv6Gateway"): string[] => {
    const first = endpoints.find(({ attached }) => attached?.[family]);
    return first === endpoint ? [endpoint.attached![family]!] : [];
  };
  return {
    network: networks.get(network),
    endpoint,
    defaultGateways: [...leads("ipv4Gateway"), ...leads("ipv6Gateway")],
    nameserver: hasNames(endpoint) ? RESOLVER_ADDRESS : null,
  };
}

/** Takes an interface away, and the guest itself with the last one. Removals that the kernel refuses are logged. */
async function detachIn(context: Context, guest: GuestRecord, gone: GuestInterface, sandbox: Sandbox | null): Promise<void> {
  const { networks, guests, dns } = context;
  const { id } = guest;
  const left: GuestRecord = { ...guest, interfaces: guest.interfaces.filter((one) => one !== gone) };
  dns.leave(gone.network, id);
  // its name server keeps the namespace alive
  if (left.interfaces.length === 0) dns.forget(id);
  if (networks.endpointsOf(id).some(({ network }) => network === gone.network)) {
    await networks.disconnect(id, gone.network, sandbox);
  }
  if (left.interfaces.length === 0) guests.delete(id);
  else guests.put(left);
  if (sandbox && left.interfaces.length > 0) await nameContainer(context, namedOf(left), networks.endpointsOf(id), sandbox.netns);
  if (!sandbox) return;
  const isNamed = networks.endpointsOf(id).some(hasNames);
  const rules = isNamed ? undefined : removeRules(sandbox.netns);
  // what has been taken away is gone when that has been said
  await Promise.all([
    networks.idle(),
    rules?.catch((error: unknown) => context.log(`sandbox ${guest.containerId}: rules of its name server: ${messageOf(error)}`)),
  ]);
}

async function detachOne(context: Context, guest: GuestRecord, gone: GuestInterface): Promise<void> {
  await inSandbox(guest, (sandbox) => detachIn(context, guest, gone, sandbox));
  const name = context.networks.list().find(({ id }) => id === gone.network)?.name ?? "";
  context.events.emit("network", "disconnect", gone.network, { container: guest.id, name });
}

/** Takes an interface of a sandbox away. Idempotent: nothing there is no error, and neither is a namespace that has gone. */
function detach(context: Context, { containerId, interface: name }: GuestReference): Promise<void> {
  const id = guestId(containerId);
  return context.guests.locked(id, async () => {
    const guest = context.guests.get(id);
    const gone = guest?.interfaces.find((one) => one.interface === name);
    if (guest && gone) await detachOne(context, guest, gone);
  });
}

/** What an interface of a sandbox has. Throws guest_not_found, namespace_invalid, attachment_broken. */
async function check(context: Context, reference: GuestReference & { readonly netns: string }): Promise<GuestAttachment> {
  const { containerId, interface: name, netns } = reference;
  const guest = context.guests.get(guestId(containerId));
  const known = guest?.interfaces.find((one) => one.interface === name);
  if (!guest || !known) throw new GuestNotFound(containerId, name);
  const { fd, identity } = openForeign(netns);
  try {
    if (identity !== guest.identity)
      throw new NetworkError("namespace_invalid", `${netns} is not the namespace that ${name} was made in`);
    const attachment = attachmentOf(context, guest, known);
    const { attached } = attachment.endpoint;
    if (!attached) throw new NetworkError("attachment_broken", `interface ${name} has no addresses`);
    checkAttachment(fd, attached);
    return attachment;
  } finally {
    close(fd);
  }
}

/**
 * Takes away the interfaces that a CNI configuration has asked for and that its runtime does not know, and all guests whose namespace
 * has gone. What fails does not keep the others. Throws guest_collect_failed.
 */
async function collect(
  context: Context,
  { configuration, valid }: { readonly configuration: string; readonly valid: readonly GuestReference[] },
): Promise<number> {
  const keep = new Set(valid.map(({ containerId, interface: name }) => `${containerId} ${name}`));
  const failures: string[] = [];
  let count = await collectGone(context);
  for (const { id, containerId } of context.guests.all()) {
    const stale = ({ configuration: asked, interface: name }: GuestInterface) =>
      asked === configuration && !keep.has(`${containerId} ${name}`);
    await context.guests
      .locked(id, async () => {
        for (const gone of context.guests.get(id)?.interfaces.filter(stale) ?? []) {
          await detachOne(context, context.guests.get(id)!, gone);
          count += 1;
        }
      })
      .catch((error: unknown) => failures.push(`${containerId}: ${messageOf(error)}`));
  }
  if (failures.length > 0) throw new OnggiError("guest_collect_failed", failures.join("; "));
  return count;
}

/** A guest has gone, with its namespace: nothing is left to remove but what it had here. Never throws. */
async function forgetGuest(context: Context, { id, interfaces }: GuestRecord): Promise<void> {
  for (const { network } of interfaces) context.dns.leave(network, id);
  context.dns.forget(id);
  await forgetNetworks(context, id);
  context.guests.delete(id);
}

/** Forgets all guests whose namespace has gone without a word. Returns how many interfaces that were. */
async function collectGone(context: Context): Promise<number> {
  let count = 0;
  for (const { id } of context.guests.all()) {
    await context.guests.locked(id, async () => {
      const guest = context.guests.get(id);
      if (!guest || isHere(context, guest)) return;
      context.log(`sandbox ${guest.containerId} has gone without a word: its interfaces are given back`);
      await forgetGuest(context, guest);
      count += guest.interfaces.length;
    });
  }
  return count;
}

/** Looks from time to time for guests that have gone. Returns what ends that. */
export function watchGuests(context: Context): () => void {
  const timer = setInterval(() => {
    if (context.guests.all().length > 0) inBackground(context, "guests", () => collectGone(context));
  }, LOOK_EVERY);
  timer.unref();
  return () => clearInterval(timer);
}

/** A guest that is there, for the reconciliation of networks; the caller closes the descriptor. */
export interface OpenGuest {
  readonly sandbox: Sandbox;
  readonly named: Named;
}

/**
 * After a start of the engine: the guests that are there. Those that have gone are forgotten, and so are interfaces that an earlier
 * engine died over: whoever asked for them was told of no success.
 */
export async function openGuests(context: Context): Promise<OpenGuest[]> {
  const open: OpenGuest[] = [];
  for (const guest of context.guests.all()) {
    const { id } = guest;
    const attached = (endpoints: readonly Endpoint[]) => new Set(endpoints.flatMap((one) => (one.attached ? [one.network] : [])));
    const made = attached(context.networks.endpointsOf(id));
    const interfaces = guest.interfaces.filter(({ network }) => made.has(network));
    const found = interfaces.length > 0 && guest.bootId === context.bootId ? openSame(guest) : undefined;
    if (found === undefined) {
      // its endpoints are then nobody's, and go as such
      context.guests.delete(id);
      continue;
    }
    for (const { network } of context.networks.endpointsOf(id)) {
      if (!made.has(network)) await context.networks.disconnect(id, network, null);
    }
    if (interfaces.length < guest.interfaces.length) context.guests.put({ ...guest, interfaces });
    open.push({ sandbox: { container: id, netns: found, name: guest.name }, named: namedOf(guest) });
  }
  return open;
}

function openSame({ netns, identity }: GuestRecord): number | undefined {
  try {
    const found = openForeign(netns);
    if (found.identity === identity) return found.fd;
    close(found.fd);
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
  }
  return undefined;
}

/** Takes a guest out of a network, as `network disconnect` does. Throws endpoint_not_found. */
export function disconnectGuest(context: Context, { id, containerId }: GuestRecord, network: string): Promise<void> {
  return context.guests.locked(id, async () => {
    const guest = context.guests.get(id);
    const gone = guest?.interfaces.find((one) => one.network === network);
    if (!guest || !gone) throw new NetworkError("endpoint_not_found", `sandbox ${containerId} is not in that network`);
    await detachOne(context, guest, gone);
  });
}

/** The use cases of the CNI plugin, for one engine. */
export const guestsOf = (context: Context) => ({
  status: (network: string) => context.networks.requireAddresses(network),
  attach: (request: GuestRequest) => attach(context, request),
  detach: (reference: GuestReference) => detach(context, reference),
  check: (reference: GuestReference & { readonly netns: string }) => check(context, reference),
  collect: (request: { readonly configuration: string; readonly valid: readonly GuestReference[] }) => collect(context, request),
});
