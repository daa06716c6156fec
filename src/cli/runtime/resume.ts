import { command, containerOf } from "./command.ts";

export const resume = command({
  summary: "let the processes of a paused container go on",
  operands: "<container-id>",
  flags: {},
  arity: [1, 1],
  async run(call) {
    const id = containerOf(call);
    await (await call.runtime()).resume(id);
    return 0;
  },
});
