import { define } from "./command.ts";

export const command = define({
  usage: "",
  summary: "answer containers' questions for names",
  flags: {},
  args: [0, 0],
  examples: [],
  async run(context) {
    await context.serveResolver();
    return 0;
  },
});
