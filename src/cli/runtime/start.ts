import { command, containerOf } from "./command.ts";

export const start = command({
  summary: "start the program of a created container",
  operands: "<container-id>",
  flags: {},
  arity: [1, 1],
  async run(call) {
    const id = containerOf(call);
    await (await call.runtime()).start(id);
    return 0;
  },
});
