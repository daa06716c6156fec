import { attachOptions, type ClientStreams, type Size, serve } from "./attach.ts";
import type { Container, ExitStatus } from "./container.ts";
import type { Context } from "./context.ts";
import { describe } from "./list.ts";
import { deleteContainer } from "./remove.ts";
import { startContainer } from "./start.ts";
import type { Trace } from "./trace.ts";

/**
 * Starts a container with a client attached from its first byte. Resolves with its exit once all output has been passed on (and,
 * if it removes itself, once it is gone); with undefined when the client detached or went away, which leaves it running.
 */
export async function startAttached(
  context: Context,
  container: Container,
  client: ClientStreams,
  size?: Size,
  trace?: Trace,
): Promise<ExitStatus | undefined> {
  const { record } = container;
  const exit = container.nextExit();
  const removal = record.request.autoRemove ? container.removal() : undefined;
  let served: Promise<"ended" | "detached"> | undefined;
  await startContainer(context, container, {
    size,
    trace,
    beforeStart: async (shim) => {
      const wanted = { ...client, stdin: client.stdin && !!record.request.openStdin };
      const attachment = await shim.attach(0, attachOptions(wanted, true));
      trace?.mark("attach");
      served = serve(shim, attachment, { ...wanted, input: client.input });
    },
  });
  context.events.emit("container", "attach", record.id, describe(record));
  if ((await served) === "detached") return undefined;
  const status = await exit;
  await removal;
  return status;
}

/** Removes a container that was to remove itself but never ran. */
export async function removeUnstarted(context: Context, container: Container): Promise<void> {
  if (!container.record.request.autoRemove || container.isUp) return;
  await container.lock.run(() => deleteContainer(context, container, true));
}
