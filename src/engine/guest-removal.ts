/** What guests have, taken away: by an interface, or all at once where the sandbox has gone. */
import { messageOf } from "../lib/errors.ts";
import { removeRules } from "../networks/dns/index.ts";
import { openForeign } from "../networks/foreign-namespace.ts";
import { NetworkError, type Sandbox } from "../networks/index.ts";
import { close } from "../sys/index.ts";
import type { Context } from "./context.ts";
import type { GuestInterface, GuestRecord } from "./guest-table.ts";
import { forgetNetworks, hasNames, type Named, nameContainer } from "./networking.ts";

/** What the resolver is told of a guest. */
export const namedOf = ({ id, name, dns }: GuestRecord): Named => ({ id, name, request: { dns: [...dns] } });

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

/** Takes an interface away, and the guest itself with the last one. Removals that the kernel refuses are logged. */
export async function detachIn(
  context: Context,
  guest: GuestRecord,
  gone: GuestInterface,
  sandbox: Sandbox | null,
): Promise<void> {
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

export async function detachOne(context: Context, guest: GuestRecord, gone: GuestInterface): Promise<void> {
  await inSandbox(guest, (sandbox) => detachIn(context, guest, gone, sandbox));
  const name = context.networks.list().find(({ id }) => id === gone.network)?.name ?? "";
  context.events.emit("network", "disconnect", gone.network, { container: guest.id, name });
}

/** A guest has gone, with its namespace: nothing is left to remove but what it had here. Never throws. */
export async function forgetGuest(context: Context, { id, interfaces }: GuestRecord): Promise<void> {
  for (const { network } of interfaces) context.dns.leave(network, id);
  context.dns.forget(id);
  await forgetNetworks(context, id);
  context.guests.delete(id);
}
