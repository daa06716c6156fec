/** Docker's notation of binds and volumes, as of `-v` and HostConfig.Binds. */
import type { MountRequest } from "../../engine/types.ts";
import { OnggiError } from "../../lib/errors.ts";

export const propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
/** Docker's options that mean nothing here: caching on other systems, labels where the kernel has no SELinux. */
const ignored = new Set(["cached", "delegated", "consistent", "z", "Z", "rw", ""]);
/** Of bind mounts alone. */
const passed = new Set([...propagations, "bind", "rbind", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "relatime"]);

/** `path` made absolute against `cwd`. */
export const absolute = (path: string, cwd: string): string =>
  path.startsWith("/") ? path : `${cwd.replace(/\/$/, "")}/${path.replace(/^\.\//, "")}`;

/** "PATH", "NAME:PATH[:OPTIONS]" or "HOST:PATH[:OPTIONS]". Throws `usage`. */
export function parseBind(spec: string, cwd: string): MountRequest {
  const parts = spec.split(":");
  if (parts.length === 1) {
    if (!spec.startsWith("/"))
      throw new OnggiError("usage", `${spec}: the path inside must begin with /; for a host directory write HOST:PATH`);
    return { type: "volume", target: spec };
  }
  const [source = "", target, options = ""] = parts;
  if (parts.length > 3 || source === "" || !target) {
    throw new OnggiError("usage", `${spec}: write PATH, NAME:PATH[:OPTIONS] or HOST:PATH[:OPTIONS]`);
  }
  if (!target.startsWith("/")) throw new OnggiError("usage", `${spec}: the path inside must begin with /, "${target}" does not`);
  const isPath = /^(\/|\.\.?(\/|$))/.test(source);
  if (!isPath && source.includes("/")) {
    throw new OnggiError("usage", `${spec}: "${source}" is no name of a volume; a host directory begins with / or ./`);
  }
  const mount: MountRequest = isPath
    ? { type: "bind", source: absolute(source, cwd), target, createSource: true }
    : { type: "volume", source, target };
  if (options !== "") mount.mode = options;
  const kept: string[] = [];
  for (const option of options.split(",")) {
    if (option === "ro" || option === "readonly") mount.readonly = true;
    else if (option === "nocopy" && !isPath) mount.nocopy = true;
    else if (passed.has(option) && isPath) kept.push(option);
    else if (!ignored.has(option)) {
      const known = isPath ? ["ro", "rw", "z", "Z", ...passed] : ["ro", "rw", "z", "Z", "nocopy"];
      throw new OnggiError("usage", `${spec}: unknown option "${option}"; known are ${known.join(", ")}`);
    }
  }
  if (kept.length > 0) mount.options = kept;
  return mount;
}
