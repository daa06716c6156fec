import { createFlags, createOptionsOf } from "./bundle.ts";
import { command, defined } from "./command.ts";

export const run = command({
  summary: "create and run a container",
  operands: "<container-id>",
  description: `Makes a container of a bundle, a directory with a "config.json" and a root file system, and starts its
program, the "args" of config.json. Ends with the program's exit status and removes the container.`,
  flags: {
    ...createFlags,
    detach: { kind: "bool", short: "d", help: "do not wait for the container's end" },
    keep: { kind: "bool", help: "do not remove the container when it has ended" },
    "no-subreaper": { kind: "bool", help: "do not adopt the container's orphans" },
  },
  arity: [1, 1],
  failure: { prefix: "onggi-runtime run failed: ", status: 1 },
  async run(call) {
    const { detach, keep, "no-subreaper": noSubreaper } = call.values;
    const options = { ...createOptionsOf(call), ...defined({ detach, keep, noSubreaper }) };
    return (await call.runtime()).run(options);
  },
});
