/** Edits of the Container Device Interface on a specification (CDI specification, "containerEdits"). Pure. */
import { OnggiError } from "../lib/errors.ts";
import type { CdiDeviceNode, CdiMount, CdiSource } from "../oci/cdi.ts";
import type { DeviceRule, Hooks, LinuxDevice, Mount, Spec } from "../oci/spec.ts";
import { validateSpec } from "../oci/validate.ts";
import { cleanPath, components } from "./paths.ts";

/** How long a hook may take of which the file does not say it: a container that starts must not wait for ever. */
const HOOK_SECONDS = 60;

/** What only the host can tell. */
export interface CdiHost {
  /** Undefined: there is no device. */
  nodeAt(path: string): Pick<LinuxDevice, "type" | "major" | "minor" | "fileMode"> | undefined;
  /** Whether what lies there can be shown with a container's ids. */
  canIdMap(path: string): boolean;
}

/**
 * The specification with all edits, in their order: of what is at one place, or has one name, the last counts. A node of which a
 * file says no numbers has those of the host's. Throws OnggiError "cdi_device_not_found" and "cdi_spec_invalid", InvalidSpec.
 */
export function applyCdi(spec: Spec, sources: readonly CdiSource[], host: CdiHost): Spec {
  const of = <T>(pick: (source: CdiSource) => readonly T[] | undefined): T[] => sources.flatMap((source) => pick(source) ?? []);
  const owner = spec.process?.user ?? { uid: 0, gid: 0 };
  const nodes = of(({ path, edits }) =>
    edits.deviceNodes?.map((node) => ({ access: node.permissions, ...nodeOf(node, owner, host, path) })),
  );
  const idmap = spec.linux?.uidMappings !== undefined;
  const mounts = of(({ edits }) => edits.mounts?.map((mount) => mountOf(mount, idmap && host.canIdMap(mount.hostPath))));
  const intelRdt = of(({ edits }) => edits.intelRdt && [edits.intelRdt]).at(-1);
  const netDevices = of(({ edits }) => edits.netDevices).map(
    ({ hostInterfaceName, name }) => [hostInterfaceName, { name }] as const,
  );
  // 0 is none, by the specification
  const gids = of(({ edits }) => edits.additionalGids).filter((gid) => gid !== 0);
  const { process, linux = {} } = spec;
  return validateSpec({
    ...spec,
    ...(process && {
      process: {
        ...process,
        env: withVariables(
          process.env ?? [],
          of(({ edits }) => edits.env),
        ),
        user: { ...owner, additionalGids: [...new Set([...(owner.additionalGids ?? []), ...gids])] },
      },
    }),
    mounts: withMounts(spec.mounts ?? [], mounts),
    hooks: withHooks(spec.hooks ?? {}, sources),
    linux: {
      ...linux,
      devices: last([...(linux.devices ?? []), ...nodes.map(({ access: _, ...node }) => node)], ({ path }) => cleanPath(path)),
      resources: { ...linux.resources, devices: [...(linux.resources?.devices ?? []), ...nodes.flatMap(ruleOf)] },
      ...(intelRdt ? { intelRdt } : {}),
      ...(netDevices.length > 0 ? { netDevices: { ...linux.netDevices, ...Object.fromEntries(netDevices) } } : {}),
    },
  });
}

function nodeOf(node: CdiDeviceNode, owner: { uid: number; gid: number }, host: CdiHost, file: string): LinuxDevice {
  const { path, hostPath = path } = node;
  const ids = { uid: node.uid ?? owner.uid, gid: node.gid ?? owner.gid };
  // as other runtimes: a major number of 0 is none
  if (node.type !== undefined && (node.major || node.type === "p")) {
    const { type, major, minor = 0, fileMode } = node;
    return { path, type, ...(type === "p" ? {} : { major: major!, minor }), ...modeOf(fileMode), ...ids };
  }
  const found = host.nodeAt(hostPath);
  if (!found)
    throw new OnggiError("cdi_device_not_found", `CDI: ${file} names the device ${hostPath}: there is none on the host`);
  if (node.type !== undefined && (node.type === "u" ? "c" : node.type) !== found.type) {
    const problem = `${file}: deviceNodes: ${hostPath} is of type ${found.type} on the host, not ${node.type}`;
    throw new OnggiError("cdi_spec_invalid", `CDI: ${problem}; correct the file`);
  }
  const { type, major = 0, minor = 0 } = found;
  return { path, type, major, minor, ...modeOf(node.fileMode ?? found.fileMode), ...ids };
}

const modeOf = (mode: number | undefined): Pick<LinuxDevice, "fileMode"> =>
  mode === undefined ? {} : { fileMode: mode & 0o7777 };

function ruleOf({ type, major, minor, access = "rwm" }: LinuxDevice & { access?: string | undefined }): DeviceRule[] {
  if (type === "p" || access === "none") return [];
  return [
    {
      allow: true,
      type: type === "b" ? "b" : "c",
      ...(major === undefined ? {} : { major }),
      ...(minor === undefined ? {} : { minor }),
      access,
    },
  ];
}

function mountOf({ hostPath, containerPath, type, options = [] }: CdiMount, idmap: boolean): Mount {
  const destination = cleanPath(containerPath);
  if (type !== undefined && type !== "" && type !== "bind") return { destination, source: hostPath, type, options };
  const has = (...names: string[]): boolean => names.some((name) => options.includes(name));
  const all = [...(has("bind", "rbind") ? [] : ["rbind"]), ...options, ...(idmap && !has("idmap", "ridmap") ? ["idmap"] : [])];
  return { destination, source: hostPath, type: "bind", options: all };
}

/** In place of what is mounted there; shallow destinations first. */
function withMounts(mounts: readonly Mount[], added: readonly Mount[]): Mount[] {
  const depth = ({ destination }: Mount): number => components(destination).length;
  return last([...mounts, ...added], ({ destination }) => cleanPath(destination)).sort((a, b) => depth(a) - depth(b));
}

function withVariables(env: readonly string[], added: readonly string[]): string[] {
  return last([...env, ...added], (pair) => pair.split("=", 1)[0]!);
}

/** Of several with one key the last, at the first one's place. */
const last = <T>(items: readonly T[], keyOf: (item: T) => string): T[] => [
  ...new Map(items.map((item) => [keyOf(item), item])).values(),
];

function withHooks(hooks: Hooks, sources: readonly CdiSource[]): Hooks {
  const all: Hooks = { ...hooks };
  for (const { hookName, ...hook } of sources.flatMap(({ edits }) => edits.hooks ?? []))
    all[hookName] = [...(all[hookName] ?? []), { timeout: HOOK_SECONDS, ...hook }];
  return all;
}
