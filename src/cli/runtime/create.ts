import { createFlags, createOptionsOf } from "./bundle.ts";
import { command } from "./command.ts";

export const create = command({
  summary: "create a container",
  operands: "<container-id>",
  description: `Makes a container of a bundle, a directory with a "config.json" and a root file system.
Its program, the "args" of config.json, runs once the container is started.`,
  flags: createFlags,
  arity: [1, 1],
  failure: { prefix: "onggi-runtime create failed: ", status: 1 },
  async run(call) {
    const options = createOptionsOf(call);
    await (await call.runtime()).create(options);
    return 0;
  },
});
