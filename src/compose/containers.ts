/** A project's containers, one at a time: made, put in another's place, started, stopped, removed. */
import { byteStringOf } from "../archive/bytes.ts";
import { archiveEnd, encodeEntry } from "../archive/tar-encode.ts";
import type { InjectedFile } from "./compile-files.ts";
import { compileRequest, seccompProfile } from "./compile-request.ts";
import { runHooks } from "./hooks.ts";
import { codeOf, type Host, told } from "./host.ts";
import { COMPOSE_VERSION, label } from "./labels.ts";
import { containerName, dependenciesOf, shortName } from "./names.ts";
import { isUp, type ObservedContainer } from "./observe.ts";
import type { ServicePlan } from "./plan.ts";
import type { Project, Service } from "./project.ts";
import { removed } from "./resources.ts";

export interface Creation {
  readonly name: string;
  readonly number: number;
  /** The container that stands for another service. */
  peer(service: string): string | undefined;
  /** Anonymous volumes of the container whose place it takes, by path. */
  readonly inherited?: ReadonlyMap<string, string>;
  /** It publishes them later, when it takes another's place. */
  readonly withoutPorts?: boolean;
}

/** Creates a container of a service; its id. */
export async function create(host: Host, project: Project, plan: ServicePlan, creation: Creation): Promise<string> {
  const { service } = plan;
  const { number, inherited, withoutPorts } = creation;
  const labels = { ...labelsOf(project, service, plan), [label.number]: `${number}` };
  const { request, files, warnings } = compileRequest(project, service, {
    ...creation,
    labels: inherited === undefined ? labels : { ...labels, [label.replace]: shortName(service, number) },
    profiles: await profilesOf(host, service),
  });
  for (const warning of warnings) host.warn(warning);
  const { publish: _, ...unpublished } = request;
  const { id, warnings: said } = await host.call("create", { container: withoutPorts ? unpublished : request });
  for (const warning of said) host.warn(`${creation.name}: ${warning}`);
  await inject(host, id, files);
  return id;
}

/** What says of which project and service a container is, and from what it was made. */
export const labelsOf = (
  project: Project,
  service: Service,
  { hash, texts, imageId }: Pick<ServicePlan, "hash" | "texts" | "imageId">,
): Record<string, string> => ({
  [label.project]: project.name,
  [label.service]: service.name,
  [label.oneoff]: "False",
  [label.hash]: hash,
  [label.image]: imageId,
  [label.dependencies]: [...dependenciesOf(service)]
    .map(([name, { condition, restart = false }]) => `${name}:${condition}:${restart}`)
    .join(","),
  [label.files]: project.files.join(","),
  [label.directory]: project.working_dir,
  [label.version]: COMPOSE_VERSION,
  ...(texts === "" ? {} : { [label.settings]: texts }),
});

/**
 * A container's anonymous volumes, by path: those of its own and those that it has from the one before it. With `service` only those
 * that it still has a place for.
 */
export async function anonymousVolumes(host: Host, container: string, service?: Service): Promise<Map<string, string>> {
  const [{ mounts, imageConfig }, { volumes }] = await Promise.all([
    host.call("inspect", { container }),
    host.call("volumes", {}),
  ]);
  const anonymous = new Set(volumes.filter((volume) => volume.anonymous).map(({ name }) => name));
  const places = new Set(Object.keys(imageConfig?.Volumes ?? {}));
  for (const { type, source, target } of service?.volumes ?? [])
    if (type === "volume" && source === undefined) places.add(target);
  return new Map(
    mounts.flatMap(({ name, destination }) =>
      name && anonymous.has(name) && (service === undefined || places.has(destination)) ? [[destination, name] as const] : [],
    ),
  );
}

export async function profilesOf(host: Host, service: Service): Promise<Map<string, string>> {
  const paths = (service.security_opt ?? []).flatMap((option) => seccompProfile(option) ?? []);
  return new Map(
    await Promise.all(paths.map(async (path) => [path, JSON.stringify(JSON.parse(await host.readFile(path)))] as const)),
  );
}

/** Writes files into a container that has not been started. */
export async function inject(host: Host, container: string, files: readonly InjectedFile[]): Promise<void> {
  if (files.length === 0) return;
  const entries = files.map(({ path, text, ...owned }) =>
    encodeEntry(
      { type: "file", name: byteStringOf(path.slice(1)), mtime: Math.floor(Date.now() / 1000), ...owned },
      Buffer.from(text),
    ),
  );
  const tar = Buffer.concat([...entries, archiveEnd()]);
  await host.call(
    "copyIn",
    { container, path: "/" },
    {
      opened: (input) => void input.stdin(tar).then(() => input.endStdin()),
    },
  );
}

/** Stops and removes a container whose place another takes. */
export async function giveWay(host: Host, service: Service, old: ObservedContainer, options: StopOptions): Promise<void> {
  await stopped(host, service, old, options);
  await discard(host, old.id, options.volumes ? [...(await anonymousVolumes(host, old.id)).values()] : []);
}

export interface StopOptions {
  /** Seconds until SIGKILL. */
  readonly timeout?: number | undefined;
  /** Anonymous volumes go with it. */
  readonly volumes?: boolean;
}

/** Stops what runs, after its service's last words. */
async function stopped(
  host: Host,
  service: Service | undefined,
  container: ObservedContainer,
  { timeout }: StopOptions,
): Promise<void> {
  if (!isUp(container)) return;
  if (container.state === "running") {
    await runHooks(host, "pre_stop", service?.pre_stop, container).catch((error: Error) => host.warn(error.message));
  }
  await host.call("stop", { container: container.id, ...(timeout === undefined ? {} : { timeout }) });
}

export async function stop(
  host: Host,
  service: Service | undefined,
  container: ObservedContainer,
  options: StopOptions,
): Promise<void> {
  if (!isUp(container)) return;
  await told(host, `Container ${container.name}`, ["Stopping", "Stopped"], () => stopped(host, service, container, options));
}

/** Stops and removes it; one that is gone is no error. */
export async function remove(
  host: Host,
  service: Service | undefined,
  container: ObservedContainer,
  options: StopOptions,
): Promise<void> {
  try {
    await stop(host, service, container, options);
    const volumes = options.volumes ? await anonymousVolumes(host, container.id) : new Map<string, string>();
    await removed(host, `Container ${container.name}`, [GONE], async () => {
      await discard(host, container.id, [...volumes.values()]);
      return "Removed";
    });
  } catch (error) {
    if (codeOf(error) !== GONE) throw error;
  }
}

const GONE = "container_not_found";

/** Removes a container with these volumes of it, as far as nobody else has them. */
async function discard(host: Host, container: string, volumes: readonly string[]): Promise<void> {
  await host.call("remove", { container, force: true });
  await Promise.all(
    volumes.map((volume) =>
      host.call("volumeRemove", { volume, force: true }).catch((error: unknown) => {
        if (codeOf(error) !== "volume_in_use") throw error;
      }),
    ),
  );
}

/** Starts it, `unnamed` without its names in networks, and runs what its service wants run then. */
export async function start(
  host: Host,
  project: Project,
  service: Service,
  { id, number }: { id: string; number: number },
  unnamed = false,
): Promise<void> {
  const name = containerName(project.name, service, number);
  await told(host, `Container ${name}`, ["Starting", "Started"], async () => {
    await host.call("start", { container: id, ...(unnamed ? { unnamed } : {}) });
    await runHooks(host, "post_start", service.post_start, { id, name });
  });
}
