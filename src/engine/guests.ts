/**
 * **Guests**: sandboxes of others (pods of containerd, containers of podman ...) that have an interface in a network of ours. The CNI
 * plugin asks for it. A guest lasts as long as the namespace that it was made with; who makes and ends that is its runtime's matter.
 */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { ADDRESS as RESOLVER_ADDRESS } from "../networks/dns/index.ts";
import { checkAttachment, enterPremises, openForeign } from "../networks/foreign-namespace.ts";
import { NetworkError, type Sandbox } from "../networks/index.ts";
import { close } from "../sys/index.ts";
import type { Context } from "./context.ts";
import { detachIn, detachOne, forgetGuest, namedOf } from "./guest-removal.ts";
import type { GuestInterface, GuestRecord } from "./guest-table.ts";
import { collectGone } from "./guest-watch.ts";
import { everyFamily, hasNames, nameContainer } from "./networking.ts";
import type { GuestAttachment, GuestReference, GuestRequest } from "./types.ts";

/** No container's id begins so. */
const guestId = (containerId: string): string => `cni-${containerId}`;

/** A guest that is given no name has its id's, if that can be one; of 64 hex digits as many as Docker shows. */
const nameOf = ({ name, containerId }: GuestRequest): string =>
  name ?? (containerId.length > 63 ? containerId.slice(0, 12) : containerId);

class GuestNotFound extends OnggiError {
  constructor(containerId: string, name: string) {
    super("guest_not_found", `sandbox ${containerId} has no interface ${name} in a network of this engine`);
  }
}

/** By the runtime's id, ours, a name, or the unique beginning of an id. */
export function findGuest({ guests }: Context, reference: string): GuestRecord | undefined {
  const all = guests.all();
  const exact = all.find(({ id, containerId, name }) => [id, containerId, name].includes(reference));
  if (exact || reference === "") return exact;
  const found = all.filter(({ id, containerId }) => id.startsWith(reference) || containerId.startsWith(reference));
  return found.length === 1 ? found[0] : undefined;
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
