/** A .container file as the commands of a service. Pure. */
import { dirname, join } from "node:path/posix";
import type { Source } from "./source.ts";
import { type Assignment, UnitError, words } from "./unit-file.ts";

/** What a unit file comes to: lines of its service, and the units it needs. */
export interface Commands {
  readonly service: readonly (readonly [key: string, value: readonly string[] | string])[];
  /** Services, without ".service", that are to be there before. */
  readonly needs: readonly string[];
  /** Paths that are to be mounted before. */
  readonly mounts: readonly string[];
}

/** Finds another unit file by its name ("data.volume"). Throws UnitError where there is none. */
export type Resolve = (name: string, from: Assignment) => { readonly source: Source; readonly resource: string };

/** A container's name is that of its service. */
export const containerName = (source: Source): string =>
  source.last("ContainerName")?.value ?? (source.isTemplate ? "systemd-%p_%i" : "systemd-%N");

/** Paths that begin with "." are relative to the unit file. */
const absolute = (source: Source, path: string): string =>
  /^\.{1,2}(?:\/|$)/.test(path) ? join(dirname(source.path), path) : path;

export function containerCommands(source: Source, onggi: readonly string[], resolve: Resolve): Commands {
  const needs: string[] = [];
  const mounts: string[] = [];
  const name = containerName(source);
  const needed = (reference: string, from: Assignment): string => {
    const found = resolve(reference, from);
    needs.push(found.source.service);
    return found.resource;
  };
  const type = serviceType(source);
  const run = [
    ...onggi,
    ...source.words("GlobalArgs"),
    ...["run", "--name", name, ...(type === "oneshot" ? ["--rm"] : [`--sdnotify=${notify(source)}`])],
    ...source.flags(),
    ...security(source),
    ...user(source),
    ...files(source),
    ...volumes(source, needed, mounts),
    ...networks(source, needed),
    ...misc(source),
    ...source.words("PodmanArgs"),
    ...image(source, needed),
    ...(source.last("Exec") ? words(source.last("Exec") as Assignment) : []),
  ];
  const remove = ["-", ...onggi, "rm", "-f", "-v", name];
  const service: [string, readonly string[] | string][] = [
    ["ExecStartPre", remove],
    ["ExecStart", run],
    ["ExecStopPost", remove],
    ...reload(source, onggi, name),
    ["Type", type],
    ...(type === "oneshot" ? [] : ([["NotifyAccess", "main"]] as [string, string][])),
  ];
  return { service, needs, mounts };
}

function serviceType(source: Source): "notify" | "oneshot" {
  const said = source.last("Type", "Service");
  if (said && said.value !== "notify" && said.value !== "oneshot")
    throw new UnitError(said.place, `Type=${said.value}: a container's service is of type notify or oneshot`);
  return said?.value === "oneshot" ? "oneshot" : "notify";
}

function notify(source: Source): "started" | "healthy" {
  const said = source.last("Notify");
  if (said?.value.toLowerCase() === "healthy") return "healthy";
  if (source.boolean("Notify"))
    throw new UnitError(
      said?.place ?? null,
      `Notify=${said?.value}: a container cannot tell systemd itself; Notify=healthy can be had`,
    );
  return "started";
}

function security(source: Source): string[] {
  const found: string[] = [];
  const profile = source.last("SeccompProfile");
  if (profile) found.push("--security-opt", `seccomp=${profile.value}`);
  for (const said of source.all("Unmask")) {
    if (said.value !== "ALL") throw new UnitError(said.place, `Unmask=${said.value}: ALL is the only one there is`);
    found.push("--security-opt", "systempaths=unconfined");
  }
  const userns = source.last("UserNS");
  if (userns && !["host", "auto", "private", ""].includes(userns.value))
    throw new UnitError(userns.place, `UserNS=${userns.value}: there are host, auto and private`);
  if (userns?.value === "host") found.push("--userns", "host");
  return found;
}

function user(source: Source): string[] {
  const [name, group] = [source.last("User"), source.last("Group")];
  if (group && !name) throw new UnitError(group.place, "Group= needs User=");
  return name ? ["--user", group ? `${name.value}:${group.value}` : name.value] : [];
}

function files(source: Source): string[] {
  const readOnly = source.boolean("ReadOnly") ?? false;
  const tmpfs = readOnly && (source.boolean("ReadOnlyTmpfs") ?? true) ? ["/run", "/tmp", "/var/tmp"] : [];
  return [
    ...source
      .all("EnvironmentFile")
      .flatMap((said) => words(said))
      .flatMap((path) => ["--env-file", fromUnit(source, path)]),
    ...source.words("AddDevice").flatMap((device) => ["--device", device]),
    ...(readOnly ? ["--read-only"] : []),
    ...tmpfs.flatMap((path) => ["--tmpfs", path]),
    ...(source.boolean("VolatileTmp") && !readOnly ? ["--tmpfs", "/tmp:rw,size=512M,mode=1777"] : []),
  ];
}

/** Relative without a dot too, but for what begins with a specifier of systemd's. */
const fromUnit = (source: Source, path: string): string =>
  path.startsWith("/") || path.startsWith("%") ? path : join(dirname(source.path), path);

function volumes(source: Source, needed: (name: string, from: Assignment) => string, mounts: string[]): string[] {
  const place = (reference: string, from: Assignment): string => {
    if (reference.endsWith(".volume") && !reference.includes("/")) return needed(reference, from);
    const path = absolute(source, reference);
    if (path.startsWith("/")) mounts.push(path);
    return path;
  };
  const binds = source.all("Volume").flatMap((said) => {
    const [first = "", ...rest] = said.value.split(":");
    return ["-v", rest.length === 0 ? first : [place(first, said), ...rest].join(":")];
  });
  const spelled = source.all("Mount").flatMap((said) => {
    const parts = said.value.split(",").map((part) => {
      const [, key, value] = /^(source|src)=(.*)$/s.exec(part) ?? [];
      if (key === undefined || value === undefined) return part;
      return `${key}=${value.endsWith(".image") && !value.includes("/") ? needed(value, said) : place(value, said)}`;
    });
    return ["--mount", parts.join(",")];
  });
  return [...binds, ...spelled];
}

/** Podman writes options of a place behind a colon: "back.network:ip=10.1.0.5,mac=...". */
function networks(source: Source, needed: (name: string, from: Assignment) => string): string[] {
  return source.all("Network").flatMap((said) => {
    const [, given = "", options = ""] = /^([^:]*)(?::(.*))?$/s.exec(said.value) ?? [];
    if (["container", "cni", "ns"].includes(given)) return ["--network", said.value];
    if (given.endsWith(".container")) return ["--network", `container:${needed(given, said)}`];
    if (["pasta", "slirp4netns"].includes(given))
      throw new UnitError(said.place, `Network=${given}: there are none, host, bridge, container:NAME and networks`);
    const name = given.endsWith(".network") ? needed(given, said) : given;
    return ["--network", options === "" ? name : `name=${name},${options.replace(/(^|,)mac=/g, "$1mac-address=")}`];
  });
}

function misc(source: Source): string[] {
  const found: string[] = [];
  const pull = source.last("Pull");
  if (pull && !["always", "missing", "never"].includes(pull.value))
    throw new UnitError(pull.place, `Pull=${pull.value}: there are always, missing and never`);
  if (pull) found.push("--pull", pull.value);
  const driver = source.last("LogDriver");
  if (driver && driver.value !== "passthrough") found.push("--log-driver", driver.value === "k8s-file" ? "cri" : driver.value);
  const update = source.last("AutoUpdate");
  if (update) found.push("--label", `io.containers.autoupdate=${update.value}`);
  const health = source.last("HealthOnFailure");
  if (health && health.value !== "none")
    throw new UnitError(health.place, `HealthOnFailure=${health.value}: none is the only one there is`);
  return found;
}

function image(source: Source, needed: (name: string, from: Assignment) => string): string[] {
  const [said, rootfs] = [source.last("Image"), source.last("Rootfs")];
  if (said && rootfs) throw new UnitError(rootfs.place, "Rootfs= stands in place of Image=, not beside it");
  if (rootfs) return ["--rootfs", absolute(source, rootfs.value)];
  if (!said) throw new UnitError(null, `${source.path}: [Container] has neither Image= nor Rootfs=`);
  if (said.value.endsWith(".build")) throw new UnitError(said.place, `Image=${said.value}: build files are not there`);
  return [said.value.endsWith(".image") && !said.value.includes("/") ? needed(said.value, said) : said.value];
}

function reload(source: Source, onggi: readonly string[], name: string): [string, readonly string[]][] {
  const [command, signal] = [source.last("ReloadCmd"), source.last("ReloadSignal")];
  if (command && signal) throw new UnitError(signal.place, "ReloadSignal= and ReloadCmd= exclude each other");
  if (command) return [["ExecReload", [...onggi, "exec", name, ...words(command)]]];
  return signal ? [["ExecReload", [...onggi, "kill", "-s", signal.value, name]]] : [];
}
