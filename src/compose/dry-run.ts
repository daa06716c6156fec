import type { Caller } from "../api/control/client.ts";
import type { CallName } from "../api/control/protocol.ts";
import { roleFor } from "../api/control/rights.ts";
import type { Host } from "./host.ts";

/**
 * A host that tells what would be done, and does nothing: what asks is asked, of what changes something success is believed.
 * Containers that would be made have ids that nobody else knows; what they would come to is not waited for (`isDryRun`).
 */
export function dryRun(host: Host): Host {
  let made = 0;
  const believed = (name: CallName): unknown => {
    if (name === "create") return { id: `dry-run-${++made}`, warnings: [] };
    return name === "exec" ? { exitCode: 0 } : {};
  };
  const call: Caller = (name, request, handlers, signal) =>
    name === "hold" || roleFor(name, request) === "read"
      ? host.call(name, request, handlers, signal)
      : Promise.resolve(believed(name) as never);
  return {
    ...host,
    isDryRun: true,
    call,
    tell: (step) => host.tell({ ...step, id: `DRY-RUN MODE -  ${step.id}` }),
    async pull(image) {
      const id = `DRY-RUN MODE -  Image ${image}`;
      host.tell({ id, text: "Pulling", status: "working" });
      host.tell({ id, text: "Pulled", status: "done" });
    },
  };
}
