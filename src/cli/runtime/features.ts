import { command } from "./command.ts";

export const features = command({
  summary: "print what the runtime can do as JSON",
  operands: "",
  description: "The format is that of the runtime specification's features.md.",
  flags: {},
  arity: [0, 0],
  async run({ ports }) {
    ports.stdout(`${JSON.stringify((await ports.facts()).features(), null, 4)}\n`);
    return 0;
  },
});
