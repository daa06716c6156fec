import { command, containerOf } from "./command.ts";

export const pause = command({
  summary: "freeze every process of a container",
  operands: "<container-id>",
  flags: {},
  arity: [1, 1],
  async run(call) {
    const id = containerOf(call);
    await (await call.runtime()).pause(id);
    return 0;
  },
});
