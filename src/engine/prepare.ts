/** From a container's record to what runs: the OCI specification, then the plan. Looks things up; decides nothing the runtime decides. */
import type { MountedImage } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import type { Seccomp, Spec } from "../oci/spec.ts";
import { type Plan, reg, type Supervision } from "../plan/ops.ts";
import type { CgroupJoin } from "../runtime/cgroups/index.ts";
import {
  applyCdi,
  bindSourceFiles,
  compileCreate,
  compileExec,
  execProcess,
  parseSecurityOptions,
  type ResolvedUser,
  type RootSource,
  readRootFile,
  resolveUser,
  type SpecInput,
  specFromRequest,
} from "../runtime/index.ts";
import { type CompiledSeccomp, compileSeccomp, seccompFor } from "../runtime/seccomp/index.ts";
import { close, O, open } from "../sys/index.ts";
import type { Size } from "./attach.ts";
import { blockDevicesOf } from "./block-devices.ts";
import { resolveCdi } from "./cdi.ts";
import type { Container } from "./container.ts";
import { profileText } from "./container-defaults.ts";
import { type OpenSources, openSources } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { deviceNodeAt, resolveDevices } from "./devices.ts";
import { canIdMap } from "./id-mounts.ts";
import { rangeOf } from "./idmap.ts";
import { sharedIpcOf, shmPath } from "./ipc-mode.ts";
import { containerPaths, EXIT_RECORD } from "./layout.ts";
import { withLinkVariables } from "./links.ts";
import { logFormat } from "./log-options.ts";
import { bindRequests, pathOf } from "./mount-points.ts";
import { networkFilePaths, networkNamespaceOf } from "./networking.ts";
import { pidNamespaceOf } from "./pid-mode.ts";
import { BUILT_IN } from "./runtimes.ts";
import { openSecrets, secretMounts } from "./secrets.ts";
import type { ContainerRequest, ExecRequest } from "./types.ts";

export type { Size } from "./attach.ts";

const imageConfig = (context: Context, record: ContainerRecord) =>
  record.imageId === "" ? {} : context.images.get(record.imageId).config.config;

const PATH_DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC;

/** Opens the directories there are, calls `use`, closes them. */
function withDirectories<T>(paths: readonly string[], use: (fds: number[]) => T): T {
  const fds: number[] = [];
  try {
    for (const path of paths) {
      try {
        fds.push(open(path, PATH_DIRECTORY));
      } catch {
        // not there yet: the container has not been started
      }
    }
    return use(fds);
  } finally {
    for (const fd of fds) close(fd);
  }
}

interface UserFiles {
  readonly passwd: string;
  readonly group: string;
}

const readUserFiles = (directories: readonly number[]): UserFiles => ({
  passwd: readRootFile(directories, "etc/passwd") ?? "",
  group: readRootFile(directories, "etc/group") ?? "",
});

/** /etc/passwd and /etc/group as the container will see them: its own upper layer's, else the image's. */
function userFilesOf(context: Context, record: ContainerRecord): UserFiles {
  const { rootfs } = record.request;
  if (rootfs !== undefined) return withDirectories([rootfs], readUserFiles);
  return withImage(context, record.imageId, [containerPaths(context.layout, record.id).upper], readUserFiles);
}

/** Calls `use` with the directories there are and the image's, topmost first. */
export function withImage<T>(context: Context, id: string, above: readonly string[], use: (fds: number[]) => T): T {
  const image = context.images.mount(id);
  if (image.kind === "paths") return withDirectories([...above, ...image.lowers], use);
  return withDirectories(above, (fds) => use([...fds, image.fd]));
}

/** Filters by what they depend on; resolving and compiling the default one takes some milliseconds. */
const sections = new Map<string, Seccomp | null>();
const programs = new WeakMap<Seccomp, CompiledSeccomp>();

function seccompSection(context: Context, request: ContainerRequest, capabilities: readonly string[]): Seccomp | null {
  const option = parseSecurityOptions(request.securityOpt).seccomp ?? "default";
  if (request.privileged || option === "unconfined") return null;
  const key = `${option}\n${capabilities.join(",")}`;
  const known = sections.get(key);
  if (known !== undefined) return known;
  const section = seccompFor(profileText(option), { capabilities, arch: context.facts.arch, kernel: context.facts.kernel });
  if (!option.startsWith("/")) sections.set(key, section);
  return section;
}

function programOf(context: Context, section: Seccomp | undefined): CompiledSeccomp | undefined {
  if (!section) return undefined;
  let program = programs.get(section);
  if (!program) {
    program = compileSeccomp(section, { cacheDir: context.layout.cache });
    programs.set(section, program);
  }
  return program;
}

type Joined = Pick<SpecInput, "networkNamespace" | "pidNamespace" | "ipcNamespace" | "shm">;

/** The specification of a container, with the devices that drivers give it. Throws what is wrong with its request. */
export function specOf(context: Context, record: ContainerRecord, joined = joinedBy(context, record)): Spec {
  const spec = ownSpec(context, record, joined);
  const { driverRequests = [] } = record.request;
  if (driverRequests.length === 0) return spec;
  const edited = applyCdi(spec, resolveCdi(context.configuration.cdiDirectories, driverRequests), {
    nodeAt: deviceNodeAt,
    canIdMap,
  });
  refuseEdits(record, edited);
  return edited;
}

/** What the specification can say for one that makes the container and another cannot do. */
function refuseEdits({ runtime }: ContainerRecord, { linux = {} }: Spec): void {
  const refuse = (what: string): never => {
    throw new OnggiError(
      "cdi_unsupported",
      `CDI: ${what}: runtime ${runtime?.name ?? BUILT_IN} is not given any; choose other devices`,
    );
  };
  if (linux.netDevices && runtime) refuse("netDevices");
  if (linux.intelRdt && !runtime) refuse("intelRdt");
}

/** What it joins of others. Throws where that does not run. */
function joinedBy(context: Context, record: ContainerRecord): Joined {
  const networkNamespace = networkNamespaceOf(context, record);
  const pidNamespace = pidNamespaceOf(context, record);
  return {
    ...(networkNamespace === undefined ? {} : { networkNamespace }),
    ...(pidNamespace === undefined ? {} : { pidNamespace }),
    ...sharedIpcOf(context, record),
  };
}

function ownSpec(context: Context, record: ContainerRecord, joined: Joined): Spec {
  const { request } = record;
  const config = imageConfig(context, record);
  const paths = networkFilePaths(context, record);
  const mounts = record.mounts ? bindRequests(record.mounts) : (request.mounts ?? []);
  const spec = specFromRequest({
    request: { ...request, mounts: [...mounts, ...secretMounts(context, record)] },
    image: config,
    id: record.id,
    hostname: request.hostname ?? record.id.slice(0, 12),
    args: record.args,
    user: resolveUser(request.user ?? config.User, userFilesOf(context, record), request.groupAdd),
    facts: context.facts,
    cgroupPath: record.cgroupPath,
    idMap: record.slot === null ? null : rangeOf(record.slot),
    devices: resolveDevices(request),
    blockDevices: blockDevicesOf(request.resources),
    files: { hostname: paths.hostname, hosts: paths.hosts, resolvConf: paths.resolvConf },
    ...joined,
  });
  const seccomp = seccompSection(context, request, spec.process?.capabilities?.bounding ?? []);
  return seccomp ? { ...spec, linux: { ...spec.linux, seccomp } } : spec;
}

export function supervisionOf(record: ContainerRecord): Supervision {
  const { tty, openStdin, stdinOnce, autoRemove, log } = record.request;
  const format = logFormat(log);
  return {
    tty: !!tty,
    openStdin: !!openStdin,
    stdinOnce: !!stdinOnce,
    log: log && format ? { format, path: record.logFile, maxSize: log.maxSize, maxFiles: log.maxFiles } : null,
    exitPath: EXIT_RECORD,
    durable: !autoRemove,
  };
}

/** The image of a container, mounted; null for one with a root directory of its own. */
export const imageOf = (context: Context, record: ContainerRecord): MountedImage | null =>
  record.request.rootfs === undefined ? context.images.mount(record.imageId) : null;

export function rootOf(context: Context, record: ContainerRecord, image: MountedImage | null): RootSource {
  if (!image) return { kind: "directory", path: record.request.rootfs as string };
  const { upper, work, mountpoint } = containerPaths(context.layout, record.id);
  const lower = image.kind === "fd" ? { passed: 0 } : { paths: image.lowers };
  return { kind: "overlay", lower, upper, work, mountpoint };
}

/**
 * Bind sources that are files: ours, which need not exist yet, those that are open, and those asked for. Volumes and what is shared
 * of /dev/shm are directories, also one that is not there yet. Throws for a source that is missing.
 */
function fileSources(context: Context, record: ContainerRecord, spec: Spec, open: OpenSources): Set<string> {
  const { hostname, hosts, resolvConf } = networkFilePaths(context, record);
  const own = new Set([hostname, hosts, resolvConf, ...secretMounts(context, record).map(({ source = "" }) => source)]);
  const known = new Set((record.mounts ?? []).filter(({ type }) => type !== "bind").map(pathOf)).add(shmPath(context, record.id));
  const asked = (spec.mounts ?? []).filter(({ source = "" }) => !own.has(source) && !known.has(source));
  return new Set([hostname, hosts, resolvConf, ...open.files, ...bindSourceFiles({ ...spec, mounts: asked })]);
}

export const withConsole = (spec: Spec, size: Size | undefined): Spec =>
  size && spec.process
    ? { ...spec, process: { ...spec.process, consoleSize: { height: size.rows, width: size.columns } } }
    : spec;

/** The plan of a container's first process, and the descriptors the shim must be given for it; `release` closes what is ours of them. */
export function createPlan(
  context: Context,
  record: ContainerRecord,
  spec: Spec,
  cgroup: CgroupJoin,
  { size, hookState }: { readonly size?: Size | undefined; readonly hookState?: number | undefined } = {},
): { plan: Plan; passedFds: number[]; release: () => void } {
  const image = imageOf(context, record);
  const passedFds = image?.kind === "fd" ? [image.fd] : [];
  const sources = openAll(context, record);
  const passedSources: Record<string, number> = {};
  for (const [destination, fd] of sources.fds) passedSources[destination] = passedFds.push(fd) - 1;
  passedFds.push(...sources.mounts);
  const init = record.request.init ? passedFds.push(open(context.shimPath, O.O_RDONLY | O.O_CLOEXEC)) - 1 : undefined;
  const hooks = hookState === undefined ? undefined : passedFds.push(hookState) - 1;
  const release = () => {
    sources.close();
    if (init !== undefined) close(passedFds[init] as number);
  };
  try {
    checkPassed(passedFds);
    return {
      plan: compilePlan(context, record, spec, cgroup, image, { sources, passedSources, init, size, hooks }),
      passedFds,
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

function openAll(context: Context, record: ContainerRecord): OpenSources {
  const mounts = openSources(context, record.mounts ?? []);
  try {
    const secrets = openSecrets(context, record);
    return {
      fds: new Map([...mounts.fds, ...secrets.fds]),
      files: new Set([...mounts.files, ...secrets.files]),
      mounts: secrets.mounts,
      close: () => {
        mounts.close();
        secrets.close();
      },
    };
  } catch (error) {
    mounts.close();
    throw error;
  }
}

/** A plan has registers for so many. */
function checkPassed(fds: readonly number[]): void {
  const most = reg.free - reg.passed;
  if (fds.length > most)
    throw new OnggiError("too_many_mounts", `a container can have ${most - 1} mounts of images and of parts of volumes at most`);
}

function compilePlan(
  context: Context,
  record: ContainerRecord,
  spec: Spec,
  cgroup: CgroupJoin,
  image: MountedImage | null,
  passed: {
    readonly sources: OpenSources;
    readonly passedSources: Record<string, number>;
    readonly init: number | undefined;
    readonly size: Size | undefined;
    readonly hooks: number | undefined;
  },
): Plan {
  const { sources, passedSources, init, size, hooks } = passed;
  return compileCreate({
    spec: withConsole(spec, size),
    root: rootOf(context, record, image),
    facts: context.facts,
    cgroup,
    supervision: supervisionOf(record),
    seccompProgram: programOf(context, spec.linux?.seccomp),
    id: record.id,
    fileSources: fileSources(context, record, spec, sources),
    passedSources,
    init,
    hookState: hooks,
  });
}

/** The user of an exec, by the files the running container has now. */
function execUser(context: Context, { record }: Container, request: ExecRequest): ResolvedUser {
  const wanted = request.user ?? record.request.user ?? imageConfig(context, record).User;
  const files = withDirectories([`/proc/${record.state.pid}/root`], readUserFiles);
  return resolveUser(wanted, files, record.request.groupAdd);
}

/** For an exec, which has no use of them: what it names on the host may be gone by now. */
function withoutDevices(record: ContainerRecord): ContainerRecord {
  const { devices: _, resources: __, ...request } = record.request;
  return { ...record, request };
}

/** What an exec is, however it is made: the container's specification, the process, its supervision. */
export function execParts(context: Context, container: Container, request: ExecRequest, size?: Size) {
  const { record } = container;
  // as with Docker without what drivers have put into its environment, and whether they still can or not
  // and whom it has joined may have ended
  const spec = withLinkVariables(context, record, ownSpec(context, withoutDevices(record), {}));
  const process = execProcess({
    container: spec.process as NonNullable<Spec["process"]>,
    command: request.command,
    user: execUser(context, container, request),
    ...(request.env ? { env: request.env } : {}),
    ...(request.workdir === undefined ? {} : { workdir: request.workdir }),
    tty: !!request.tty,
    privileged: !!request.privileged,
    ...(size ? { size: { height: size.rows, width: size.columns } } : {}),
    facts: context.facts,
  });
  const supervision: Supervision = {
    tty: !!request.tty,
    openStdin: !!request.openStdin && !request.detach,
    stdinOnce: true,
    log: null,
    exitPath: null,
    durable: false,
  };
  return { spec, process, supervision };
}

/** The plan of a further process in a running container. */
export function execPlan(context: Context, container: Container, request: ExecRequest, size?: Size): Plan {
  const { record } = container;
  const { spec, process, supervision } = execParts(context, container, request, size);
  return compileExec({
    process,
    target: {
      pid: record.state.pid,
      namespaces: (spec.linux?.namespaces ?? []).map(({ type }) => type),
      uidMappings: spec.linux?.uidMappings,
      cgroup: context.cgroups.join(record.cgroupPath),
    },
    facts: context.facts,
    supervision,
    seccompProgram: request.privileged ? undefined : programOf(context, spec.linux?.seccomp),
  });
}
