import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import { splitPlace } from "./copy-names.ts";
import { copyFlags, copyIn, copyOut } from "./copying.ts";

export const command = define({
  usage: "[flags] CONTAINER:PATH PATH|- or PATH|- CONTAINER:PATH",
  summary: "copy files in and out of containers",
  flags: copyFlags,
  args: [2, 2],
  complete: "container",
  examples: [
    ["cp web:/etc/nginx/nginx.conf .", "out, also of a container that does not run"],
    ["cp site/. web:/srv/", "what a directory holds, in"],
    ["cp web:/var/log - | tar t", "as a tar; in as well: tar c . | onggi cp - web:/srv"],
  ],
  async run(context, options, [from = "", to = ""]) {
    const source = splitPlace(from);
    const destination = splitPlace(to);
    if (from === "" || to === "") throw new OnggiError("usage", `${from === "" ? "source" : "destination"} can not be empty`);
    if (source.name && destination.name) throw new OnggiError("not_supported", "copying between containers is not supported");
    if (source.name) await copyOut(context, { target: { container: source.name }, name: source.name }, source.path, to, options);
    else if (destination.name) {
      await copyIn(context, { target: { container: destination.name }, name: destination.name }, from, destination.path, options);
    } else throw new OnggiError("no_container", "must specify at least one container source");
    return 0;
  },
});
