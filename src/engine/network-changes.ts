/** Networks of containers that run change: by connect and disconnect, and with what an engine that starts finds. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Publication, Sandbox } from "../networks/types.ts";
import { isErrno } from "../sys/errno.ts";
import { close, O, open } from "../sys/index.ts";
import { refuseCni } from "./cni.ts";
import type { Container } from "./container.ts";
import { type Context, inBackground } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { networkMode } from "./network-mode.ts";
import {
  connect,
  forgetNetworks,
  type Named,
  nameContainer,
  nameNetwork,
  nameRemote,
  publicationsOf,
  refuseOptions,
  rewriteNetworkFiles,
  tellLinked,
  withNamespace,
} from "./networking.ts";
import type { ContainerRequest, NetworkEndpoint } from "./types.ts";

/** After a start of the engine, when it is known who runs. `guests`: sandboxes of others, which are there; their descriptors are closed. */
export async function reconcileNetworks(
  context: Context,
  guests: readonly { readonly sandbox: Sandbox; readonly named: Named }[],
): Promise<void> {
  const { networks, containers } = context;
  const netns: Sandbox[] = guests.map(({ sandbox }) => sandbox);
  const known = new Map(guests.map(({ named }) => [named.id, named]));
  try {
    for (const { id } of networks.list())
      for (const { container } of networks.endpointsIn(id))
        if (!containers.has(container) && !known.has(container)) await forgetNetworks(context, container);
    const running = new Set([...containers.values()].filter(({ isUp }) => isUp).map(({ id }) => id));
    // plugins take their time: who is in networks of ours does not wait for that
    inBackground(context, "CNI", () => context.cni.recover(running));
    for (const { record, isUp } of containers.values())
      if (isUp && networkMode(record.request).kind === "networks") netns.push(...sandboxOf(record));
    await networks.reconcile(netns);
    for (const network of networks.list()) nameNetwork(context, network);
    nameRemote(context);
    for (const sandbox of netns) {
      const guest = known.get(sandbox.container);
      const record = containers.get(sandbox.container)?.record;
      try {
        if (guest) await nameContainer(context, guest, networks.endpointsOf(guest.id), sandbox.netns);
        if (record) await settleNetworks(context, record, sandbox);
      } catch (error) {
        // one that ends meanwhile, and is removed, must not keep the others from their engine
        context.log(`networks of ${sandbox.container}: ${messageOf(error)}`);
      }
    }
    await context.dns.settled();
  } finally {
    for (const { netns: fd } of netns) close(fd);
  }
}

/** None where its process has ended since its shim was asked: its exit is on the way. */
function sandboxOf({ id, name, state }: ContainerRecord): Sandbox[] {
  try {
    return [{ container: id, name, netns: open(`/proc/${state.pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC) }];
  } catch (error) {
    if (isErrno(error, "ENOENT", "ESRCH")) return [];
    throw error;
  }
}

/** A running container's networks, after a start of the engine. */
async function settleNetworks(context: Context, record: ContainerRecord, sandbox: Sandbox): Promise<void> {
  const wasChanging = record.networksChange ?? false;
  if (wasChanging) await settlePorts(context, record, sandbox);
  await nameContainer(context, record, context.networks.endpointsOf(record.id), sandbox.netns);
  if (wasChanging || record.request.links) rewriteNetworkFiles(context, record);
  if (wasChanging) markChange(context, record, false);
}

async function settlePorts(context: Context, record: ContainerRecord, sandbox: Sandbox): Promise<void> {
  await context.networks.settle(sandbox);
  try {
    context.networks.republish(record.id, publicationsOf(context, record));
  } catch (error) {
    context.log(`ports of ${record.id}: ${messageOf(error)}`);
  }
}

const markChange = (context: Context, record: ContainerRecord, is: boolean): void => {
  record.networksChange = is;
  context.table.update(record, false);
};

/** Changes the networks of a running container, and its names and files with them. What a death interrupts the next engine finishes. */
async function changeNetworks(
  context: Context,
  record: ContainerRecord,
  work: (sandbox: Sandbox) => Promise<void>,
): Promise<void> {
  markChange(context, record, true);
  try {
    await withNamespace(record, record.state.pid, work);
    rewriteNetworkFiles(context, record);
    tellLinked(context, record.id);
  } finally {
    markChange(context, record, false);
  }
}

/** Puts a container into one more network, at once if it runs. */
export async function connectNetwork(context: Context, container: Container, endpoint: NetworkEndpoint): Promise<void> {
  const { record } = container;
  refuseCni(context, endpoint.network, "they make it when a container starts; give --network to run or create");
  refuseOptions(endpoint);
  await container.lock.run(async () => {
    refuseSharing(record);
    if (!container.isUp) {
      connect(context, record, endpoint);
      return;
    }
    const { id, name, driver } = context.networks.get(endpoint.network);
    await changeNetworks(context, record, async (sandbox) => {
      connect(context, record, endpoint);
      try {
        await context.networks.attachOne(sandbox, id);
        await nameContainer(context, record, context.networks.endpointsOf(record.id), sandbox.netns);
      } catch (error) {
        await context.networks.disconnect(record.id, id, null);
        throw error;
      }
    });
    context.events.emit("network", "connect", id, { container: record.id, name, type: driver });
  });
}

/**
 * A running container publishes what another request of it says, from now on; `change` does it. Nothing has changed when it throws. To be
 * called under its lock.
 */
export async function changePorts(
  context: Context,
  record: ContainerRecord,
  request: ContainerRequest,
  change = (publish: readonly Publication[]) => context.networks.republish(record.id, publish),
): Promise<void> {
  const before = record.request;
  record.request = request;
  markChange(context, record, true);
  try {
    change(publicationsOf(context, record));
  } catch (error) {
    record.request = before;
    throw error;
  } finally {
    markChange(context, record, false);
  }
}

/** Takes a container out of a network. */
export async function disconnectNetwork(context: Context, container: Container, reference: string): Promise<void> {
  const { record } = container;
  await container.lock.run(async () => {
    const { id, name, driver } = context.networks.get(reference);
    if (container.isUp) {
      await changeNetworks(context, record, async (sandbox) => {
        context.dns.leave(id, record.id);
        await context.networks.disconnect(record.id, id, sandbox);
        await nameContainer(context, record, context.networks.endpointsOf(record.id), sandbox.netns);
      });
    } else {
      await context.networks.disconnect(record.id, id, null);
    }
    context.events.emit("network", "disconnect", id, { container: record.id, name, type: driver });
  });
}

const refuseSharing = ({ name, request }: ContainerRecord): void => {
  const { kind } = networkMode(request);
  if (kind === "networks") return;
  const words = { host: "the host's network", none: "no network", cni: "networks of CNI plugins" };
  const what = kind === "container" || kind === "path" ? "a network namespace of others" : words[kind];
  throw new OnggiError("network_mode_invalid", `container ${name} was made with ${what}; it cannot be in other networks`);
};
