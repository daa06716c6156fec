import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { attachFlags } from "./container-flags.ts";
import { bool } from "./flags.ts";
import { finish, openSession } from "./session.ts";

export const command = define({
  usage: "[flags] CONTAINER",
  summary: "attach to a running container",
  flags: { "no-stdin": bool("", "output only"), ...attachFlags },
  args: [1, 1],
  complete: "running",
  exits: "the container's; 0 after the detach keys",
  examples: [["attach web", "ctrl-p ctrl-q leaves it running"]],
  async run(context, values, [container = ""]) {
    const { request, state } = await context.call("inspect", { container });
    if (state.status === "paused")
      throw new OnggiError("container_paused", `${container} is paused: onggi unpause ${container} first`);
    if (state.status !== "running") {
      throw new OnggiError(
        "container_not_running",
        `${container} does not run (${state.status}): onggi start -a ${container} starts and attaches`,
      );
    }
    const tty = request.tty === true;
    const attach = { stdin: !values["no-stdin"] && request.openStdin === true, stdout: true, stderr: true };
    const sigProxy = values["sig-proxy"] ?? true;
    const session = await openSession(context, { attach, tty, detachKeys: values["detach-keys"], sigProxy });
    try {
      const sized = session.size ? { size: session.size } : {};
      const result = await context.call("attach", { container, attach, sigProxy, ...sized }, session.handlers<"attach">());
      session.end();
      return await finish(context, result, tty);
    } finally {
      session.end();
    }
  },
});
