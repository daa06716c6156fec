import { define } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { choice, list, text } from "./flags.ts";
import { labelsOf } from "./labels.ts";
import { pairs } from "./pairs.ts";

export const command = define({
  usage: "[flags] [NAME]",
  summary: "make a volume, or find it made; prints its name",
  flags: {
    driver: choice("d", ["local"], "who keeps the files (local)"),
    opt: list("o", "KEY=VALUE", "size=SIZE for one of fixed size; type, o and device as mount(8) has them"),
    label: list("l", "KEY[=VALUE]", "label"),
    name: text("", "NAME", "as the argument", { rare: true }),
  },
  args: [0, 1],
  examples: [
    ["volume create data", "a directory of the engine's"],
    ["volume create -o size=1g data", "no larger than a gigabyte"],
    ["volume create -o type=tmpfs -o o=size=64m,mode=1777 scratch", "in memory, while containers have it"],
    ["volume create -o type=nfs -o device=:/srv -o o=addr=10.0.0.5 share", "a server's"],
  ],
  async run(context, values, [argument]) {
    if (argument !== undefined && values.name !== undefined) throw new UsageError("give the name once");
    const name = argument ?? values.name;
    const options = pairs(values.opt, "--opt");
    const labels = labelsOf(values.label);
    const volume = await context.call("volumeCreate", {
      ...(name === undefined ? {} : { name }),
      ...(values.driver === undefined ? {} : { driver: values.driver }),
      ...(options ? { options } : {}),
      ...(labels ? { labels } : {}),
    });
    await line(context.stdout, volume.name);
    return 0;
  },
});
