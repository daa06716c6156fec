import type { ContainerInfo, Image, VolumeInfo } from "../api/control/types.ts";
import { dockerContainer } from "../api/shapes/container.ts";
import { dockerImage } from "../api/shapes/image.ts";
import { dockerVolume } from "../api/shapes/volume.ts";
import { OnggiError } from "../lib/errors.ts";
import { define } from "./command.ts";
import type { Context } from "./context.ts";
import { bool, choice, platform, text } from "./flags.ts";
import { inspectObjects } from "./inspect-objects.ts";

const format = text("f", "TEMPLATE", "json or a Go template");
const many = [1, Number.POSITIVE_INFINITY] as const;

export const command = define({
  usage: "[flags] NAME|ID...",
  summary: "show everything about containers, images and volumes, as Docker's JSON",
  flags: {
    format,
    type: choice("", ["container", "image", "volume"], "only those"),
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

export const volumeCommand = define({
  ...command,
  usage: "[flags] VOLUME...",
  summary: "show everything about volumes, as Docker's JSON",
  complete: "volume",
  examples: [["volume inspect -f '{{.Mountpoint}}' data", "where its files are"]],
  flags: { format },
  run: (context, values, args) => inspectAll(context, args, values.format, "volume"),
});

type Kind = "container" | "image" | "volume" | undefined;

const inspectAll = (
  context: Context,
  args: readonly string[],
  format: string | undefined,
  kind: Kind,
  platform?: string,
): Promise<number> => inspectObjects(context, args, format, (name) => find(context, name, kind, platform));

async function find(context: Context, name: string, kind: Kind, platform?: string): Promise<object> {
  if (kind === undefined || kind === "container") {
    const info = await optional<ContainerInfo>(
      context.call("inspect", { container: name }),
      "container_not_found",
      kind === undefined,
    );
    if (info) return dockerContainer(info);
  }
  if (kind === "volume") return dockerVolume(await context.call("volumeInspect", { volume: name }));
  const asked = { image: name, ...(platform === undefined ? {} : { platform }) };
  const image = await optional<Image>(context.call("imageInspect", asked), "image_not_found", kind === undefined);
  if (image) return dockerImage(image);
  const volume = await optional<VolumeInfo>(context.call("volumeInspect", { volume: name }), "volume_not_found", true);
  if (volume) return dockerVolume(volume);
  throw new OnggiError(
    "not_found",
    `no such container, image or volume: ${name}; see onggi ps -a, onggi images and onggi volume ls`,
  );
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
