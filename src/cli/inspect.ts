import type { ContainerInfo, Image } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import type { Context } from "./context.ts";
import { bool, choice, platform, text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";
import { dockerContainer, dockerImage } from "./inspect-shape.ts";

const format = text("f", "TEMPLATE", "json or a Go template");
const many = [1, Number.POSITIVE_INFINITY] as const;

export const command = define({
  usage: "[flags] NAME|ID...",
  summary: "show everything about containers and images, as Docker's JSON",
  flags: {
    format,
    type: choice("", ["container", "image"], "only those"),
    size: bool("s", "as Docker's; changes nothing", { rare: true }),
  },
  args: many,
  complete: "container",
  examples: [
    ["inspect -f '{{.State.Pid}}' web", "one value"],
    ["inspect -f '{{json .HostConfig}}' web", "a part"],
  ],
  run: (context, values, args) => inspectAll(context, args, values.format, values.type),
});

export const containerCommand = define({
  ...command,
  summary: "show everything about containers, as Docker's JSON",
  flags: { format, size: command.flags.size },
  run: (context, values, args) => inspectAll(context, args, values.format, "container"),
});

export const imageCommand = define({
  ...command,
  summary: "show everything about images, as Docker's JSON",
  complete: "image",
  examples: [["image inspect -f '{{.Config.Cmd}}' busybox", "one value"]],
  flags: { format, platform: platform("of a name with several images the one for this") },
  run: (context, values, args) => inspectAll(context, args, values.format, "image", values.platform),
});

type Kind = "container" | "image" | undefined;

const inspectAll = (
  context: Context,
  args: readonly string[],
  format: string | undefined,
  kind: Kind,
  platform?: string,
): Promise<number> => inspectObjects(context, args, format, (name) => find(context, name, kind, platform));

async function find(context: Context, name: string, kind: Kind, platform?: string): Promise<object> {
  if (kind !== "image") {
    const info = await optional<ContainerInfo>(
      context.call("inspect", { container: name }),
      "container_not_found",
      kind === undefined,
    );
    if (info) return dockerContainer(info);
  }
  const asked = { image: name, ...(platform === undefined ? {} : { platform }) };
  const image = await optional<Image>(context.call("imageInspect", asked), "image_not_found", kind === undefined);
  if (image) return dockerImage(image);
  throw new OnggiError("not_found", `no such container or image: ${name}; see onggi ps -a and onggi images`);
}

/** What is not there is undefined, when that is to be looked at further. */
async function optional<T>(asked: Promise<T>, code: string, tolerate: boolean): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (tolerate && error instanceof OnggiError && error.code === code) return undefined;
    throw error;
  }
}
