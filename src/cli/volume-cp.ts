import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { splitPlace } from "./copy-names.ts";
import { copyFlags, copyIn, copyOut } from "./copying.ts";

export const command = define({
  usage: "[flags] VOLUME:PATH PATH|- or PATH|- VOLUME:PATH",
  summary: "copy files in and out of volumes, as cp does of containers",
  flags: { ...copyFlags, archive: { ...copyFlags.archive, help: "out, keep the ids that containers see" } },
  args: [2, 2],
  complete: "volume",
  examples: [
    ["volume cp data:/etc/app.conf .", "out; PATH is one in the volume"],
    ["volume cp seed/. data:/", "in"],
  ],
  async run(context, options, [from = "", to = ""]) {
    const source = splitPlace(from);
    const destination = splitPlace(to);
    if (source.name && destination.name)
      throw new OnggiError("not_supported", "copying between volumes is not supported; see volume clone");
    if (source.name) await copyOut(context, { target: { volume: source.name }, name: source.name }, source.path, to, options);
    else if (destination.name) {
      await copyIn(context, { target: { volume: destination.name }, name: destination.name }, from, destination.path, options);
    } else throw new OnggiError("no_volume", "one of the two must be VOLUME:PATH");
    return 0;
  },
});
