import { command, containerOf } from "./command.ts";

export const remove = command({
  summary: "remove what a stopped or created container holds",
  operands: "<container-id>",
  flags: { force: { kind: "bool", short: "f", help: "kill the container first if it still runs" } },
  arity: [1, 1],
  async run(call) {
    const id = containerOf(call);
    await (await call.runtime()).delete(id, call.values.force === true);
    return 0;
  },
});
