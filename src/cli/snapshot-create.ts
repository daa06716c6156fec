import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "CONTAINER [NAME]",
  summary: "keep a container's files as they are now; print the snapshot's name",
  flags: {},
  args: [1, 2],
  complete: "container",
  examples: [
    ["snapshot web", "as web@1; what runs in it is frozen for a moment"],
    ["snapshot web before-upgrade", "under a name of its own"],
    ["snapshot create ls", "of a container that is called as a command is"],
  ],
  async run(context, _, [container = "", name]) {
    const snapshot = await context.call("snapshot", { container, ...(name === undefined ? {} : { name }) });
    await line(context.stdout, snapshot.name);
    return 0;
  },
});
