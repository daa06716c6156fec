/** Guests whose sandbox has gone without a word: found when an engine starts, and from time to time. */
import { isSameNamespace, openForeign } from "../networks/foreign-namespace.ts";
import { type Endpoint, NetworkError, type Sandbox } from "../networks/index.ts";
import { close } from "../sys/index.ts";
import { type Context, inBackground } from "./context.ts";
import { forgetGuest, namedOf } from "./guest-removal.ts";
import type { GuestRecord } from "./guest-table.ts";
import type { Named } from "./networking.ts";

/** How often it is looked for guests whose namespace has gone without a word, in milliseconds. */
const LOOK_EVERY = 30_000;

const isHere = (context: Context, { bootId, netns, identity }: GuestRecord): boolean =>
  bootId === context.bootId && isSameNamespace(netns, identity);

/** Forgets all guests whose namespace has gone without a word. Returns how many interfaces that were. */
export async function collectGone(context: Context): Promise<number> {
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
