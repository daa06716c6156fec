/** .network, .volume and .image files as the commands of a service. Pure. */
import type { Commands } from "./container.ts";
import type { Source } from "./source.ts";
import { UnitError } from "./unit-file.ts";

const oneshot = [
  ["Type", "oneshot"],
  ["RemainAfterExit", "yes"],
] as const;

const nothing = { needs: [], mounts: [] };

export function networkCommands(source: Source, onggi: readonly string[]): Commands {
  const name = source.named("NetworkName");
  const driver = source.last("IPAMDriver");
  if (driver && driver.value !== "host-local")
    throw new UnitError(driver.place, `IPAMDriver=${driver.value}: there is host-local`);
  const link = source.last("InterfaceName");
  const create = [
    ...[...onggi, ...source.words("GlobalArgs"), "network", "create", "--ignore"],
    ...source.flags(),
    ...(link ? ["--opt", `com.docker.network.bridge.name=${link.value}`] : []),
    ...subnets(source),
    ...source.words("PodmanArgs"),
    name,
  ];
  const remove = ["-", ...onggi, "network", "rm", name];
  const goes = source.boolean("NetworkDeleteOnStop") ? [["ExecStopPost", remove] as const] : [];
  return { ...nothing, service: [["ExecStart", create], ...goes, ...oneshot] };
}

function subnets(source: Source): string[] {
  const prefixes = source.all("Subnet");
  const gateways = source.all("Gateway");
  const ranges = source.all("IPRange");
  const surplus = gateways[prefixes.length] ?? ranges[prefixes.length];
  if (surplus) throw new UnitError(surplus.place, `${surplus.key}= needs a Subnet= that it belongs to`);
  return prefixes.flatMap(({ value }, at) => [
    ...["--subnet", value],
    ...(gateways[at] ? ["--gateway", gateways[at].value] : []),
    ...(ranges[at] ? ["--ip-range", ranges[at].value] : []),
  ]);
}

export function volumeCommands(source: Source, onggi: readonly string[]): Commands {
  const driver = source.last("Driver");
  if (driver && driver.value !== "local") throw new UnitError(driver.place, `Driver=${driver.value}: there is local`);
  if (source.boolean("Copy") === false)
    throw new UnitError(source.last("Copy")?.place ?? null, "Copy=false: say nocopy where the volume is mounted");
  const [device, type, options] = [source.last("Device"), source.last("Type"), source.last("Options")];
  for (const said of [type, options])
    if (said && !device) throw new UnitError(said.place, `${said.key}= says something of a Device=: give that, too`);
  const ids = [source.last("User"), source.last("Group")].map((said, at) =>
    said ? `${at === 0 ? "uid" : "gid"}=${said.value}` : "",
  );
  const mount = [...ids, options?.value ?? ""].filter((text) => text !== "").join(",");
  const create = [
    ...[...onggi, ...source.words("GlobalArgs"), "volume", "create"],
    ...source.flags(),
    ...(device ? ["--opt", `device=${device.value}`] : []),
    ...(type ? ["--opt", `type=${type.value}`] : []),
    ...(mount === "" ? [] : ["--opt", `o=${mount}`]),
    ...source.words("PodmanArgs"),
    source.named("VolumeName"),
  ];
  const mounts = device && type?.value === "bind" ? [device.value] : [];
  return { needs: [], mounts, service: [["ExecStart", create], ...oneshot] };
}

export function imageCommands(source: Source, onggi: readonly string[]): Commands {
  const image = source.last("Image");
  if (!image) throw new UnitError(null, `${source.path}: [Image] has no Image=`);
  const [os, arch, variant] = [source.last("OS"), source.last("Arch"), source.last("Variant")];
  if ((os || variant) && !arch) throw new UnitError((os ?? variant)?.place ?? null, "OS= and Variant= need Arch=");
  const platform = arch ? ["--platform", [os?.value ?? "linux", arch.value, ...(variant ? [variant.value] : [])].join("/")] : [];
  const pull = [...onggi, ...source.words("GlobalArgs"), "pull", ...source.flags(), ...platform, ...source.words("PodmanArgs")];
  return { ...nothing, service: [["ExecStart", [...pull, image.value]], ...oneshot] };
}

/** What NAME.image means. Throws UnitError. */
export function imageName(source: Source): string {
  const image = source.last("ImageTag") ?? source.last("Image");
  if (!image) throw new UnitError(null, `${source.path}: [Image] has no Image=`);
  return image.value;
}
