/** Unit files of Podman's kind (.container, .network, .volume, .image) as services of systemd. Pure. */
import { messageOf } from "../../lib/errors.ts";
import { type Commands, containerCommands, containerName, type Resolve } from "./container.ts";
import { otherTypes, type UnitType, unitTypes } from "./keys.ts";
import { imageCommands, imageName, networkCommands, volumeCommands } from "./others.ts";
import { isUnitName, Source, type UnitText } from "./source.ts";
import { type Assignment, commandLine, type OutputSection, printUnit, UnitError, words } from "./unit-file.ts";

export interface Service {
  /** "web.service" */
  readonly name: string;
  readonly text: string;
  /** Links to it, relative to the generator's directory: "multi-user.target.wants/web.service". */
  readonly links: readonly string[];
}

export interface Translation {
  readonly services: readonly Service[];
  /** What is wrong, with file and line; the files that it is in have no service. */
  readonly problems: readonly string[];
}

/** `onggi`: the words that call it. */
export function translate(units: readonly UnitText[], onggi: readonly string[]): Translation {
  const problems: string[] = [];
  const attempt = <T>(work: () => T): T[] => {
    try {
      return [work()];
    } catch (error) {
      problems.push(messageOf(error));
      return [];
    }
  };
  const sources = new Map(units.flatMap((unit) => attempt(() => [unit.name, sourceOf(unit)] as const)));
  const known = new Set(units.map(({ name }) => name));
  const resolve: Resolve = (name, from) => {
    const source = sources.get(name);
    if (source) return { source, resource: resourceOf(source) };
    throw new UnitError(
      from.place,
      `${from.key}= names ${name}, ${known.has(name) ? "which is wrong itself" : "and there is no such file"}`,
    );
  };
  const services: Service[] = [];
  for (const source of sources.values()) {
    services.push(
      ...attempt(() => {
        const service = serviceOf(source, onggi, resolve, sources);
        const other = services.find(({ name }) => name === service.name);
        if (other) throw new UnitError(null, `${source.path}: there is a ${service.name} of another file already`);
        return service;
      }),
    );
  }
  return { services, problems };
}

function sourceOf(unit: UnitText): Source {
  const [, type = ""] = /\.([a-z]+)$/.exec(unit.name) ?? [];
  if (Object.hasOwn(otherTypes, type)) throw new UnitError(null, `${unit.path}: ${otherTypes[type]}`);
  if (!Object.hasOwn(unitTypes, type) || !isUnitName(unit.name)) throw new UnitError(null, `${unit.path}: this is no unit file`);
  return new Source(unit, type as UnitType);
}

function resourceOf(source: Source): string {
  if (source.type === "image") return imageName(source);
  if (source.type === "container") return containerName(source).replaceAll("%N", source.service);
  return source.named(source.type === "network" ? "NetworkName" : "VolumeName");
}

const commands: Readonly<Record<UnitType, (source: Source, onggi: readonly string[], resolve: Resolve) => Commands>> = {
  container: containerCommands,
  network: networkCommands,
  volume: volumeCommands,
  image: imageCommands,
};

/** Keys of [Unit] that name units, where those of these files mean their services. */
const DEPENDENCIES = new Set(
  `After Before BindsTo Conflicts OnFailure OnSuccess PartOf PropagatesReloadTo PropagatesStopTo ReloadPropagatedFrom Requires
   Requisite StopPropagatedFrom Upholds Wants`.split(/\s+/),
);

function serviceOf(source: Source, onggi: readonly string[], resolve: Resolve, sources: ReadonlyMap<string, Source>): Service {
  const { service, needs, mounts } = commands[source.type](source, onggi, resolve);
  const own = unitTypes[source.type].section;
  const copied = (name: string): (readonly [string, string])[] =>
    (source.sections.get(name) ?? []).map(({ key, value }) => [key, value]);
  const asService = (word: string): string => {
    const other = sources.get(word);
    return other ? `${other.service}.service` : word;
  };
  const unit = (source.sections.get("Unit") ?? []).map(({ key, value }): readonly [string, string] => [
    key,
    DEPENDENCIES.has(key) ? value.split(/\s+/).map(asService).join(" ") : value,
  ]);
  const others = [...source.sections.keys()].filter((name) => !["Unit", "Service", "Install", "Quadlet", own].includes(name));
  const said = new Set(source.sections.get("Service")?.map(({ key }) => key));
  const made = service.filter(([key]) => key.startsWith("Exec") || !said.has(key));
  const sections: OutputSection[] = [
    { name: "Unit", lines: [...unit, ["SourcePath", source.path], ...ordering(source, needs, mounts)] },
    { name: `X-${own}`, lines: copied(own) },
    ...others.map((name) => ({ name, lines: copied(name) })),
    {
      name: "Service",
      lines: [
        ...copied("Service"),
        ...made.map(([key, value]) => [key, typeof value === "string" ? value : execLine(value)] as const),
        ...(source.type === "container" && !said.has("KillMode") ? ([["KillMode", "mixed"]] as const) : []),
        ...(said.has("SyslogIdentifier") ? [] : ([["SyslogIdentifier", "%N"]] as const)),
      ],
    },
    { name: "Install", lines: copied("Install") },
  ];
  const name = `${source.service}.service`;
  return { name, text: printUnit(`Made of ${source.path} by onggi's generator.`, sections), links: linksOf(source, name) };
}

/** "-" as the first word lets the command fail. */
const execLine = ([first = "", ...rest]: readonly string[]): string =>
  first === "-" ? `-${commandLine(rest)}` : commandLine([first, ...rest]);

function ordering(source: Source, needs: readonly string[], mounts: readonly string[]): [string, string][] {
  const waits = source.last("DefaultDependencies", "Quadlet")?.value.toLowerCase() !== "false";
  const online: [string, string][] = [
    ["Wants", "network-online.target"],
    ["After", "network-online.target"],
  ];
  return [
    ...(waits ? online : []),
    ["Wants", "onggi.socket"],
    ["After", "onggi.socket onggi.service"],
    ...[...new Set(needs)].flatMap((name): [string, string][] => [
      ["Requires", `${name}.service`],
      ["After", `${name}.service`],
    ]),
    ...[...new Set(mounts)].map((path): [string, string] => ["RequiresMountsFor", commandLine([path])]),
  ];
}

const FOLDERS = { WantedBy: "wants", RequiredBy: "requires", UpheldBy: "upholds" } as const;

/** What `systemctl enable` would make: services of a generator cannot be enabled. Throws UnitError. */
function linksOf(source: Source, name: string): string[] {
  const listed = (key: string): [string, Assignment][] =>
    source.all(key, "Install").flatMap((said) => words(said).map((word): [string, Assignment] => [word, said]));
  const checked = ([word, said]: [string, Assignment]): string => {
    if (isUnitName(word)) return word;
    throw new UnitError(said.place, `${said.key}=${word}: this is no unit's name`);
  };
  const aliases = listed("Alias").map(checked);
  const target = instanceOf(source, name);
  const folders = Object.entries(FOLDERS).flatMap(([key, folder]) =>
    listed(key).map((one) => `${checked(one)}.${folder}/${target ?? name}`),
  );
  return target === null ? aliases : [...aliases, ...folders];
}

/** The unit that is wanted: of a template the instance that DefaultInstance names; null where it names none. */
function instanceOf(source: Source, name: string): string | null {
  if (!/@\.service$/.test(name)) return name;
  const said = source.last("DefaultInstance", "Install");
  if (said && !isUnitName(said.value))
    throw new UnitError(said.place, `DefaultInstance=${said.value}: this is no instance's name`);
  return said ? name.replace("@.", `@${said.value}.`) : null;
}
