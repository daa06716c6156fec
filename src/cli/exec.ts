import type { ExecRequest } from "../api/control/types.ts";
import { define } from "./command.ts";
import { environment, withoutEmpty } from "./container-request.ts";
import { bool, list, text } from "./flags.ts";
import { finish, openSession } from "./session.ts";

export const command = define({
  usage: "[flags] CONTAINER COMMAND [ARG...]",
  summary: "run a command in a running container",
  flags: {
    interactive: bool("i", "keep standard input open"),
    tty: bool("t", "give it a terminal"),
    detach: bool("d", "do not wait for it"),
    env: list("e", "KEY[=VALUE]", "environment variable; without value: taken from here"),
    "env-file": list("", "FILE", "environment variables, one per line", { complete: "file" }),
    user: text("u", "USER[:GROUP]", "user, by name or id"),
    workdir: text("w", "DIR", "working directory inside"),
    privileged: bool("", "all capabilities"),
    "detach-keys": text("", "KEYS", "keys that detach (ctrl-p,ctrl-q)"),
  },
  args: [2, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "running",
  exits: "the command's; 126 if the command cannot be executed, 127 if it is not there",
  examples: [
    ["exec web ls /", "one command"],
    ["exec -it web sh", "a shell"],
  ],
  async run(context, flags, [container = "", ...words]) {
    const values = withoutEmpty(flags);
    const { detach = false, tty = false, interactive = false } = values;
    const env = await environment(values, context.env);
    const exec: ExecRequest = {
      command: words,
      ...(env.length > 0 ? { env } : {}),
      ...(values.user === undefined ? {} : { user: values.user }),
      ...(values.workdir === undefined ? {} : { workdir: values.workdir }),
      ...(tty ? { tty } : {}),
      ...(interactive && !detach ? { openStdin: true } : {}),
      ...(values.privileged ? { privileged: true } : {}),
      ...(detach ? { detach } : {}),
    };
    if (detach) {
      await context.call("exec", { container, exec, attach: { stdin: false, stdout: false, stderr: false } });
      return 0;
    }
    const attach = { stdin: interactive, stdout: true, stderr: true };
    // Docker does not pass signals on to an exec either
    const session = await openSession(context, { attach, tty, detachKeys: values["detach-keys"], sigProxy: false });
    try {
      const sized = session.size ? { size: session.size } : {};
      const result = await context.call("exec", { container, exec, attach, ...sized }, session.handlers<"exec">());
      session.end();
      return await finish(context, result, tty);
    } finally {
      session.end();
    }
  },
});
