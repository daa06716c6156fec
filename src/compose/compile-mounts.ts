import type { MountRequest } from "../api/control/types.ts";
import { propagations } from "../api/shapes/bind.ts";
import { omitAbsent } from "../lib/tables.ts";
import { invalid, unsupported } from "./compile-errors.ts";
import type { Mount, Project, Service } from "./project.ts";

/**
 * What a service's container has mounted: its volumes, then `files`, where no volume takes their place. `inherited` are anonymous
 * volumes of the container before it, by path: they stay.
 */
export function compileMounts(
  project: Project,
  service: Service,
  files: readonly MountRequest[],
  inherited: ReadonlyMap<string, string> = new Map(),
): MountRequest[] | undefined {
  const found = new Map<string, MountRequest>();
  for (const [target, source] of inherited) found.set(target, { type: "volume", source, target });
  for (const mount of service.volumes ?? []) {
    const kept = mount.type === "volume" && mount.source === undefined ? inherited.get(mount.target) : undefined;
    found.set(
      mount.target,
      kept === undefined ? mountOf(project, service, mount) : { ...mountOf(project, service, mount), source: kept },
    );
  }
  for (const file of files) if (!found.has(file.target)) found.set(file.target, file);
  return found.size > 0 ? [...found.values()] : undefined;
}

const kinds: { readonly [K in Mount["type"]]: (project: Project, service: Service, mount: Mount) => Partial<MountRequest> } = {
  bind: (_, service, mount) => bindOf(service, mount),
  volume: (project, service, { source, volume }) => ({
    type: "volume",
    ...omitAbsent({
      source: source === undefined ? undefined : volumeName(project, service, source),
      nocopy: volume?.nocopy,
      subpath: volume?.subpath,
      labels: volume?.labels,
    }),
  }),
  tmpfs: (_, __, { tmpfs }) => {
    const options = [
      ...(tmpfs?.size === undefined ? [] : [`size=${tmpfs.size}`]),
      ...(tmpfs?.mode === undefined ? [] : [`mode=${tmpfs.mode.toString(8)}`]),
    ];
    return { type: "tmpfs", ...(options.length > 0 ? { options } : {}) };
  },
  image: (_, service, { source, image }) => {
    if (source === undefined) throw invalid(service, "volumes", "a mount of type image needs a source");
    return { type: "image", source, ...omitAbsent({ subpath: image?.subpath }) };
  },
  npipe: (_, service) => {
    throw unsupported(service, "volumes of type npipe", "that is for Windows");
  },
  cluster: (_, service) => {
    throw unsupported(service, "volumes of type cluster", "that is for swarms");
  },
};

function mountOf(project: Project, service: Service, mount: Mount): MountRequest {
  const { type = "volume", ...made } = kinds[mount.type](project, service, mount);
  return { type, target: mount.target, ...(mount.read_only ? { readonly: true } : {}), ...made };
}

function volumeName(project: Project, service: Service, key: string): string {
  const volume = project.volumes[key];
  if (volume === undefined) throw invalid(service, "volumes", `the project has no volume ${key}`);
  return volume.name;
}

function bindOf(service: Service, { source, read_only, bind = {} }: Mount): Partial<MountRequest> {
  if (source === undefined) throw invalid(service, "volumes", "a mount of type bind needs a source");
  const { propagation, recursive, create_host_path } = bind;
  if (propagation !== undefined && propagation !== "" && !propagations.includes(propagation))
    throw invalid(service, "volumes", `bind.propagation "${propagation}" is not one of ${propagations.join(", ")}`);
  if ((recursive === "writable" || recursive === "readonly") && !read_only)
    throw invalid(service, "volumes", `bind.recursive ${recursive} needs read_only`);
  const options = [...(propagation ? [propagation] : []), ...(recursive === "disabled" ? ["bind"] : [])];
  return {
    type: "bind",
    source,
    ...(create_host_path ? { createSource: true } : {}),
    ...(recursive === "writable" ? { readonlyBelow: "writable" as const } : {}),
    ...(options.length > 0 ? { options } : {}),
  };
}

/** "/run", "/run:size=64m,mode=1777" each. */
export const compileTmpfs = (service: Service): Record<string, string> | undefined =>
  service.tmpfs && Object.fromEntries(service.tmpfs.map((spec) => [spec.split(":", 1)[0]!, spec.split(/:(.*)/s)[1] ?? ""]));
