import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { localOnly } from "./context.ts";

export const command = define({
  usage: "",
  summary: "show the log of engines that commands started",
  flags: {},
  args: [0, 0],
  examples: [["engine logs", "what it has written since it was started"]],
  async run(context) {
    localOnly(context, "engine.log");
    const path = `${context.root}/engine.log`;
    const file = Bun.file(path);
    if (!(await file.exists()))
      throw new OnggiError("no_engine_log", `${path} is not there: no command has started an engine yet`);
    for await (const chunk of file.stream()) await context.stdout.write(chunk);
    return 0;
  },
});
