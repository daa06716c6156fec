import type { CallHandlers } from "../api/control/client.ts";
import type { TraceStage } from "../api/control/protocol.ts";
import { attachOptions, checkCidFile, inputOf, streamsOf, writeCidFile } from "./attach-options.ts";
import { define } from "./command.ts";
import { attachFlags, containerFlags } from "./container-flags.ts";
import { containerRequest } from "./container-request.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, choice, list } from "./flags.ts";
import { finish, openSession } from "./session.ts";
import { withImage } from "./with-image.ts";

export const command = define({
  usage: "[flags] IMAGE [COMMAND] [ARG...]",
  summary: "create a container, start it and wait for it",
  flags: {
    detach: bool("d", "run in the background, print the id"),
    rm: bool("", "remove the container when it has ended"),
    ...containerFlags,
    ...attachFlags,
    attach: list("a", "STREAM", "attach only to stdin, stdout or stderr", { rare: true }),
    sdnotify: choice("", ["started", "healthy"], "as a service of systemd, which is told when it has", { rare: true }),
    trace: bool("", "print where the time of the start went", { rare: true }),
  },
  args: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "image",
  failure: 125,
  exits: "the container's; 125 if there is none, 126 if the command cannot be executed, 127 if it is not there",
  examples: [
    ["run --rm busybox echo hello", "one command"],
    ["run -it --rm debian bash", "a shell; ctrl-p ctrl-q leaves it running"],
    ["run -d --name web -m 64m -v ./site:/www:ro busybox httpd -f -h /www", "a server"],
  ],
  async run(context, values, args) {
    if (values.detach && values.attach) throw new UsageError("-d and -a exclude each other");
    await checkCidFile(values.cidfile);
    const request = await containerRequest(values, args, context);
    if (values.rm && request.restart) throw new UsageError("conflicting options: cannot specify both --restart and --rm");
    if (values.sdnotify) {
      if (values.detach || values.attach || request.tty || request.openStdin)
        throw new UsageError("--sdnotify: a service has no terminal and no input, and is not detached");
      const { runService } = await import("./run-service.ts");
      return runService(context, { ...request, ...(values.rm ? { autoRemove: true } : {}) }, values.sdnotify, values);
    }
    const detach = values.detach ?? false;
    const attach = attachOptions(values, detach);
    const container = {
      ...request,
      ...(values.rm ? { autoRemove: true } : {}),
      ...inputOf(request, attach),
      ...(detach || values.attach ? { attach: streamsOf(attach) } : {}),
    };
    const tty = !detach && request.tty === true;
    const session = detach ? undefined : await openSession(context, options(values, attach, tty));
    try {
      const runRequest = {
        container,
        detach,
        attach,
        ...(session?.size ? { size: session.size } : {}),
        ...(values.trace ? { trace: true } : {}),
        ...(values["sig-proxy"] === false ? {} : { sigProxy: true }),
      };
      const { opened, ...streams } = session?.handlers<"run">() ?? {};
      // Input is taken when there is a container for it: a call that finds no image can be made again.
      let take = (): void => {};
      let made: string | undefined;
      const handlers: CallHandlers<"run"> = {
        ...streams,
        opened: (input) => {
          take = () => opened?.(input);
        },
        async item(item) {
          if ("trace" in item) return printTrace(context, item.trace);
          made = item.id;
          for (const warning of item.warnings ?? []) await line(context.stderr, `WARNING: ${warning}`);
          await writeCidFile(values.cidfile, item.id);
          take();
        },
      };
      const call = () => context.call("run", runRequest, handlers);
      const result = await withImage(context, request.image, values, call).catch(async (error: unknown) => {
        // one that did not start is there nevertheless
        if (detach && made !== undefined) await line(context.stdout, made);
        throw error;
      });
      session?.end();
      if (!detach) return await finish(context, result, tty);
      await line(context.stdout, result.id);
      return result.error ? await finish(context, result, tty) : 0;
    } finally {
      session?.end();
    }
  },
});

const options = (
  values: { "detach-keys"?: string; "sig-proxy"?: boolean },
  attach: ReturnType<typeof attachOptions>,
  tty: boolean,
) => ({
  attach,
  tty,
  detachKeys: values["detach-keys"],
  sigProxy: values["sig-proxy"] ?? true,
});

/** The stages of the start, longest bars for the longest; on standard error, where it does not mix with the output. */
async function printTrace(context: Context, trace: readonly TraceStage[]): Promise<void> {
  const { alignTabs } = await import("../lib/table.ts");
  const total = trace.reduce((sum, { microseconds, aside }) => sum + (aside ? 0 : microseconds), 0);
  const bar = (microseconds: number): string => "#".repeat(Math.round((40 * microseconds) / Math.max(1, total)));
  const rows = trace.map(({ stage, microseconds, floor }) => {
    const kernel = floor === undefined ? "" : `kernel ${floor} us`;
    return `${stage}\t${microseconds.toFixed(0)} us\t${kernel}\t${bar(microseconds)}`;
  });
  await context.stderr.write(`${alignTabs([...rows, `total\t${total.toFixed(0)} us\t\t`]).join("\n")}\n`);
}
