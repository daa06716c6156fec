import type { ContainerInfo, Image, NetworkInfo, VolumeInfo } from "../api/control/types.ts";
import { containerSizes, dockerContainer } from "../api/shapes/container.ts";
import { dockerImage } from "../api/shapes/image.ts";
import { dockerNetwork } from "../api/shapes/network.ts";
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
  summary: "show everything about containers, images, networks and volumes, as Docker's JSON",
  flags: {
    format,
    type: choice("", ["container", "image", "network", "volume"], "only those"),
    size: bool("s", "with what containers take of the disk", { rare: true }),
  },
  args: many,
  complete: "container",
  examples: [
    ["inspect -f '{{.State.Pid}}' web", "one value"],
    ["inspect -f '{{json .HostConfig}}' web", "a part"],
  ],
  run: (context, values, args) => inspectAll(context, args, values.format, values),
});

export const containerCommand = define({
  ...command,
  summary: "show everything about containers, as Docker's JSON",
  flags: { format, size: command.flags.size },
  run: (context, values, args) => inspectAll(context, args, values.format, { ...values, type: "container" }),
});

export const imageCommand = define({
  ...command,
  summary: "show everything about images, as Docker's JSON",
  complete: "image",
  examples: [["image inspect -f '{{.Config.Cmd}}' busybox", "one value"]],
  flags: { format, platform: platform("of a name with several images the one for this") },
  run: (context, values, args) => inspectAll(context, args, values.format, { ...values, type: "image" }),
});

export const volumeCommand = define({
  ...command,
  usage: "[flags] VOLUME...",
  summary: "show everything about volumes, as Docker's JSON",
  complete: "volume",
  examples: [["volume inspect -f '{{.Mountpoint}}' data", "where its files are"]],
  flags: { format },
  run: (context, values, args) => inspectAll(context, args, values.format, { type: "volume" }),
});

interface Asked {
  readonly type?: "container" | "image" | "network" | "volume";
  readonly platform?: string;
  readonly size?: boolean;
}

const inspectAll = (context: Context, args: readonly string[], format: string | undefined, asked: Asked): Promise<number> =>
  inspectObjects(context, args, format, (name) => find(context, name, asked));

async function find(context: Context, name: string, { type: kind, platform, size }: Asked): Promise<object> {
  if (kind === undefined || kind === "container") {
    const info = await optional<ContainerInfo>(
      context.call("inspect", { container: name }),
      "container_not_found",
      kind === undefined,
    );
    if (info) return { ...dockerContainer(info), ...(size ? containerSizes(info, await context.call("diskUsage", {})) : {}) };
  }
  if (kind === "network") return dockerNetwork(await context.call("networkInspect", { network: name }));
  if (kind === "volume") return dockerVolume(await context.call("volumeInspect", { volume: name }));
  const asked = { image: name, ...(platform === undefined ? {} : { platform }) };
  const image = await optional<Image>(context.call("imageInspect", asked), "image_not_found", kind === undefined);
  if (image) return dockerImage(image);
  const network = await optional<NetworkInfo>(context.call("networkInspect", { network: name }), "network_not_found", true);
  if (network) return dockerNetwork(network);
  const volume = await optional<VolumeInfo>(context.call("volumeInspect", { volume: name }), "volume_not_found", true);
  if (volume) return dockerVolume(volume);
  throw new OnggiError(
    "not_found",
    `no such container, image, network or volume: ${name}; see onggi ps -a, onggi images, onggi network ls and onggi volume ls`,
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
