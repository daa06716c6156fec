/** A container that runs takes another one's place in networks: its ports and its names. */
import { OnggiError } from "../lib/errors.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { changePorts } from "./network-changes.ts";
import { nameAnew } from "./networking.ts";
import type { PortRequest } from "./types.ts";

/**
 * `container` publishes these ports from now on; those that `from` has answer all the while, new connections at once by `container`.
 * Others find it, and no longer `from`, by its names. Both run on. Throws `not_running`, port_in_use; then nothing has changed.
 */
export async function takeOver(context: Context, container: Container, from: Container, publish: PortRequest[]): Promise<void> {
  await container.lock.run(async () => {
    for (const { isUp, name } of [container, from])
      if (!isUp) throw new OnggiError("not_running", `${name} does not run: a place is taken over between two that do`);
    const { record } = container;
    await changePorts(context, record, { ...record.request, publish }, (ports) =>
      context.networks.handOver(from.id, record.id, ports),
    );
    container.unnamed = false;
    await nameAnew(context, record);
    from.unnamed = true;
    await nameAnew(context, from.record);
  });
}
