import type { MountRequest } from "../api/control/types.ts";
import { parseBytes } from "../lib/units.ts";
import { UsageError } from "./errors.ts";

/** What `-v`, `--mount` and `--tmpfs` ask for. */

const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
/** Docker's options that mean nothing here: caching on other systems, SELinux relabelling, copying into volumes. */
const ignored = new Set(["cached", "delegated", "consistent", "nocopy", "z", "Z", "rw", ""]);
const passed = new Set([...propagations, "bind", "rbind", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"]);

const noVolumes = (what: string): UsageError =>
  new UsageError(`${what}: volumes are not there yet; name a host directory by a path that begins with / or ./`);

/** `path` made absolute against `cwd`. */
const absolute = (path: string, cwd: string): string =>
  path.startsWith("/") ? path : `${cwd.replace(/\/$/, "")}/${path.replace(/^\.\//, "")}`;

/** "HOST:PATH[:OPTIONS]". Throws UsageError. */
export function parseVolume(spec: string, cwd: string): MountRequest {
  const parts = spec.split(":");
  const [source = "", target, options = ""] = parts;
  if (parts.length === 1) throw noVolumes(`-v ${spec}`);
  if (parts.length > 3 || source === "" || !target) throw new UsageError(`-v ${spec}: write HOST:PATH or HOST:PATH:OPTIONS`);
  if (!target.startsWith("/")) throw new UsageError(`-v ${spec}: the path inside must begin with /, "${target}" does not`);
  if (!/^(\/|\.\.?(\/|$))/.test(source)) throw noVolumes(`-v ${spec}`);
  const mount: MountRequest = { type: "bind", source: absolute(source, cwd), target };
  const kept: string[] = [];
  for (const option of options.split(",")) {
    if (option === "ro" || option === "readonly") mount.readonly = true;
    else if (passed.has(option)) kept.push(option);
    else if (!ignored.has(option))
      throw new UsageError(`-v ${spec}: unknown option "${option}"; known are ro, rw, ${[...passed].join(", ")}`);
  }
  if (kept.length > 0) mount.options = kept;
  return mount;
}

const on = (value: string | undefined): boolean => value === undefined || /^(1|true)$/i.test(value);

/** "type=bind,source=/a,target=/b,readonly" and the same for tmpfs, comma-separated with quotes as in CSV. Throws UsageError. */
export function parseMount(spec: string, cwd: string): MountRequest {
  const fields = splitCsv(spec).map((field) => field.split(/=(.*)/s) as [string, string | undefined]);
  const type = fields.find(([key]) => key === "type")?.[1] ?? "volume";
  if (type === "volume") throw noVolumes(`--mount ${spec}`);
  if (type !== "bind" && type !== "tmpfs") throw new UsageError(`--mount ${spec}: type "${type}" is not one of bind, tmpfs`);
  const mount: MountRequest = { type, target: "" };
  const options: string[] = [];
  for (const [key, value] of fields) mountField(spec, mount, options, key.toLowerCase(), value, cwd);
  if (!mount.target.startsWith("/")) throw new UsageError(`--mount ${spec}: needs target=PATH, a path that begins with /`);
  if (type === "bind" && !mount.source) throw new UsageError(`--mount ${spec}: needs source=PATH`);
  if (options.length > 0) mount.options = options;
  return mount;
}

function mountField(
  spec: string,
  mount: MountRequest,
  options: string[],
  key: string,
  value: string | undefined,
  cwd: string,
): void {
  switch (key) {
    case "type":
    case "consistency":
    case "bind-create-src":
      return;
    case "source":
    case "src":
      if (mount.type === "tmpfs") throw new UsageError(`--mount ${spec}: a tmpfs has no source`);
      mount.source = absolute(value ?? "", cwd);
      return;
    case "target":
    case "dst":
    case "destination":
      mount.target = value ?? "";
      return;
    case "readonly":
    case "ro":
      if (on(value)) mount.readonly = true;
      return;
    case "bind-propagation":
      if (!propagations.includes(value ?? ""))
        throw new UsageError(`--mount ${spec}: bind-propagation is one of ${propagations.join(", ")}`);
      options.push(value!);
      return;
    case "bind-nonrecursive":
      if (on(value)) options.push("bind");
      return;
    case "tmpfs-size":
      options.push(`size=${parseBytes(value ?? "", "tmpfs-size")}`);
      return;
    case "tmpfs-mode":
      if (!/^[0-7]{1,4}$/.test(value ?? "")) throw new UsageError(`--mount ${spec}: tmpfs-mode is an octal number, as in 1777`);
      options.push(`mode=${value}`);
      return;
    default:
      throw new UsageError(`--mount ${spec}: unknown field "${key}"`);
  }
}

/** One line of CSV: fields may be quoted, quotes inside are doubled. */
export function splitCsv(line: string): string[] {
  const fields: string[] = [];
  for (const [, quoted, plain = ""] of line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    fields.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
  }
  return fields;
}

/** "PATH[:OPTIONS]" of --tmpfs. Throws UsageError. */
export function parseTmpfs(spec: string): [path: string, options: string] {
  const [path = "", options = ""] = spec.split(/:(.*)/s);
  if (!path.startsWith("/")) throw new UsageError(`--tmpfs ${spec}: the path must begin with /`);
  return [path, options];
}
