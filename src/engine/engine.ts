import { release } from "node:os";
import type { Image } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { parseMoment, rfc3339 } from "../lib/time.ts";
import { explain, explainJson } from "../plan/print.ts";
import { type LimitsThere, limitsThere } from "../runtime/cgroups/index.ts";
import { close } from "../sys/index.ts";
import { artifactsOf } from "./artifacts.ts";
import { attachContainer, attachNextRun, type ClientStreams, type Size } from "./attach.ts";
import { type CdiState, readCdi } from "./cdi.ts";
import { rootTag } from "./cgroups.ts";
import { type CommitOptions, commitAsked, diffContainer, exportContainer } from "./commit.ts";
import type { Configuration } from "./configuration.ts";
import type { Container, ExitStatus } from "./container.ts";
import { type Context, findContainer } from "./context.ts";
import { copiesOf } from "./copy.ts";
import { createContainer } from "./create.ts";
import { diskUsage } from "./disk-usage.ts";
import { checkEventQuery, type EventQuery, followEvents } from "./events.ts";
import { type ExecOptions, execInContainer } from "./exec.ts";
import { ExecSessions } from "./exec-sessions.ts";
import { explainContainer } from "./explain.ts";
import { collectAtTimes } from "./gc.ts";
import { watchGuests } from "./guest-watch.ts";
import { guestsOf } from "./guests.ts";
import { takeOver } from "./hand-over.ts";
import { Holds } from "./holds.ts";
import { imagesOf } from "./image-commands.ts";
import { inspectContainer } from "./inspect.ts";
import { containerPaths, type Layout } from "./layout.ts";
import { leasesOf } from "./lease-end.ts";
import { type ListQuery, listContainers } from "./list.ts";
import { attributesOf } from "./log-drivers.ts";
import { clearLog } from "./log-files.ts";
import { logFormat } from "./log-options.ts";
import { type LogEntry, readLog } from "./logs.ts";
import { manifestsOf } from "./manifest.ts";
import { networksOf } from "./networks.ts";
import { nodesOf } from "./nodes.ts";
import { pauseContainer, unpauseContainer } from "./pause.ts";
import { runnableImage } from "./platform.ts";
import { pruneContainers } from "./prune.ts";
import { reloadEngine, settingsReport } from "./reload.ts";
import { remakeContainer } from "./remake.ts";
import { removeContainer } from "./remove.ts";
import { renameContainer } from "./rename.ts";
import { restartContainer } from "./restart.ts";
import { removeUnstarted, startAttached } from "./run.ts";
import { snapshotsOf } from "./snapshots.ts";
import { startContainer } from "./start.ts";
import { sampleStats } from "./stats.ts";
import { killContainer, stopContainer } from "./stop.ts";
import { listProcesses } from "./top.ts";
import type { Trace } from "./trace.ts";
import { trustOf } from "./trust.ts";
import type {
  ContainerChanges,
  ContainerInfo,
  ContainerRequest,
  ContainerSummary,
  DiskUsage,
  EngineEvent,
  EngineStatus,
  ExecRequest,
  PortRequest,
  ProcessList,
  Reloaded,
  Resources,
  RestartPolicy,
  RuntimeInfo,
  SettingsReport,
  StatsSample,
} from "./types.ts";
import { removeLink } from "./unlink.ts";
import { updateContainer } from "./update.ts";
import { Usage } from "./usage.ts";
import { volumesOf } from "./volumes.ts";

/** The face of an open engine: names become containers here, everything else is in the module of each use case. */
export class Engine {
  private readonly context: Context;
  private readonly lock: number;

  readonly execs: ExecSessions;
  /** What containers use, second by second. */
  readonly usage: Usage;
  readonly manifests: ReturnType<typeof manifestsOf>;
  readonly trust: ReturnType<typeof trustOf>;
  readonly artifacts: ReturnType<typeof artifactsOf>;
  readonly images: ReturnType<typeof imagesOf>;
  readonly networks: ReturnType<typeof networksOf>;
  readonly nodes: ReturnType<typeof nodesOf>;
  readonly volumes: ReturnType<typeof volumesOf>;
  readonly copies: ReturnType<typeof copiesOf>;
  readonly guests: ReturnType<typeof guestsOf>;
  readonly leases: ReturnType<typeof leasesOf>;
  readonly snapshots: ReturnType<typeof snapshotsOf>;
  private readonly read: () => Configuration;
  private readonly unwatchGuests: () => void;
  private readonly stopCollecting: () => void;

  constructor(context: Context, lock: number, read: () => Configuration) {
    this.context = context;
    this.read = read;
    this.lock = lock;
    this.execs = new ExecSessions(context);
    this.usage = new Usage(context);
    this.manifests = manifestsOf(context);
    this.trust = trustOf(context);
    this.artifacts = artifactsOf(context);
    this.images = imagesOf(context);
    this.networks = networksOf(context);
    this.nodes = nodesOf(context);
    this.volumes = volumesOf(context);
    this.copies = copiesOf(context);
    this.guests = guestsOf(context);
    this.leases = leasesOf(context);
    this.snapshots = snapshotsOf(context);
    this.unwatchGuests = watchGuests(context);
    this.stopCollecting = collectAtTimes(context);
  }

  /** The same for every engine of this data root, and for no other. */
  get id(): string {
    return `onggi-${rootTag(this.context.layout.root)}`;
  }

  /** What is in force. */
  /** The devices of CDI that containers can ask for now. */
  cdi(): CdiState {
    return readCdi(this.configuration.cdiDirectories);
  }

  get configuration(): Configuration {
    return this.context.configuration;
  }

  /** What is in force, what is written by now, and what keeps that from being read. */
  settings(): SettingsReport {
    return settingsReport(this.context, this.read);
  }

  /** See reloadEngine. */
  reload(): Reloaded {
    return reloadEngine(this.context, this.read, this.id);
  }

  get layout(): Layout {
    return this.context.layout;
  }

  private find(reference: string): Container {
    return findContainer(this.context, reference);
  }

  /** Whether a container's runtime can id-map bind mounts must be known before it is made. */
  private async learn(request: ContainerRequest): Promise<void> {
    const runtime = this.context.runtimes.find(request.runtime);
    if (!runtime) return;
    const image = request.rootfs === undefined ? runnableImage(this.context, request) : undefined;
    const mounts = request.mounts?.length || request.volumesFrom?.length || image?.config.config.Volumes;
    if (mounts) await this.context.runtimes.learn(runtime);
  }

  async create(request: ContainerRequest): Promise<Container> {
    await this.learn(request);
    return this.context.leases.under(request.lease, () => createContainer(this.context, request));
  }

  /** A container that removes itself is gone if it cannot start. `unnamed`: nobody finds it by name until it takes another's place. */
  async start(reference: string, size?: Size, unnamed = false): Promise<void> {
    const container = this.find(reference);
    container.unnamed = unnamed;
    await this.startedOrGone(container, () => startContainer(this.context, container, { size }));
  }

  private async startedOrGone<T>(container: Container, start: () => Promise<T>): Promise<T> {
    try {
      return await start();
    } catch (error) {
      await removeUnstarted(this.context, container);
      throw error;
    }
  }

  /** What clients must not do at once. */
  readonly holds = new Holds();

  takeOver(reference: string, from: string, publish: PortRequest[]): Promise<void> {
    return takeOver(this.context, this.find(reference), this.find(from), publish);
  }

  startAttached(reference: string, client: ClientStreams, size?: Size): Promise<ExitStatus | undefined> {
    const container = this.find(reference);
    return this.startedOrGone(container, () => startAttached(this.context, container, client, size));
  }

  /** create and start; `created` is told of it in between. A container that removes itself is gone if it cannot start. */
  async run(
    request: ContainerRequest,
    client: ClientStreams | null,
    created: (container: { readonly id: string; readonly warnings: readonly string[] }) => void,
    size?: Size,
    trace?: Trace,
  ): Promise<ExitStatus | undefined> {
    const container = await this.create(request);
    trace?.mark("create");
    created(container);
    return this.startedOrGone(container, async () => {
      if (client) return startAttached(this.context, container, client, size, trace);
      await startContainer(this.context, container, { size, trace });
      return undefined;
    });
  }

  attach(reference: string, client: ClientStreams, size?: Size): Promise<ExitStatus | undefined> {
    return attachContainer(this.context, this.find(reference), client, size);
  }

  /** See attachNextRun. */
  attachNextRun(reference: string, client: ClientStreams): Promise<void> {
    return attachNextRun(this.context, this.find(reference), client);
  }

  exec(reference: string, request: ExecRequest, client: ClientStreams, options: ExecOptions = {}): Promise<number | undefined> {
    return execInContainer(this.context, this.find(reference), request, client, options);
  }

  async stop(reference: string, signal?: string, timeout?: number): Promise<string> {
    const container = this.find(reference);
    await stopContainer(this.context, container, signal, timeout);
    return container.id;
  }

  /** To its terminal, if it has one. Throws `not_running`. */
  resize(reference: string, { rows, columns }: Size): void {
    const { shim, isUp, name } = this.find(reference);
    if (!shim || !isUp) throw new OnggiError("not_running", `container ${name} is not running`);
    shim.resize(0, rows, columns);
  }

  /** Stops it, if it runs, and starts it. */
  async restart(reference: string, signal?: string, timeout?: number): Promise<string> {
    const container = this.find(reference);
    await restartContainer(this.context, container, signal, timeout);
    return container.id;
  }

  async kill(reference: string, signal?: string): Promise<string> {
    const container = this.find(reference);
    await killContainer(this.context, container, signal);
    return container.id;
  }

  async rename(reference: string, name: string): Promise<string> {
    const container = this.find(reference);
    await renameContainer(this.context, container, name);
    return container.id;
  }

  /** `args`: those of ps(1); none: -ef. */
  top(reference: string, args: readonly string[]): Promise<ProcessList> {
    return listProcesses(this.context, this.find(reference), args);
  }

  async pause(reference: string): Promise<string> {
    const container = this.find(reference);
    await pauseContainer(this.context, container);
    return container.id;
  }

  async unpause(reference: string): Promise<string> {
    const container = this.find(reference);
    await unpauseContainer(this.context, container);
    return container.id;
  }

  /** "not-running" returns at once for a container that does not run; "next-exit" waits for an exit still to come. */
  async wait(reference: string, condition: "not-running" | "next-exit" | "removed"): Promise<ExitStatus> {
    const container = this.find(reference);
    if (condition === "removed") {
      await container.removal();
      return container.exitStatus;
    }
    if (condition === "not-running" && !container.isActive) return container.exitStatus;
    return container.nextExit();
  }

  /** `volumes`: with its anonymous volumes. */
  removeLink(name: string): Promise<void> {
    return removeLink(this.context, name);
  }

  async remove(reference: string, force: boolean, volumes = false): Promise<string> {
    const container = this.find(reference);
    await removeContainer(this.context, container, { force, volumes });
    return container.id;
  }

  /** What differs from the image; paths as text. */
  async diff(reference: string): Promise<{ kind: "A" | "C" | "D"; path: string }[]> {
    const changes = await diffContainer(this.context, this.find(reference));
    return changes.map(({ kind, path }) => ({ kind, path: `/${Buffer.from(path, "latin1").toString("utf8")}` }));
  }

  export(reference: string, write: (chunk: Buffer) => Promise<void> | void): Promise<void> {
    return exportContainer(this.context, this.find(reference), write);
  }

  commit(reference: string, options: CommitOptions): Promise<Image> {
    return commitAsked(this.context, this.find(reference), options);
  }

  inspect(reference: string): ContainerInfo {
    return inspectContainer(this.context, this.find(reference));
  }

  list(query: ListQuery): ContainerSummary[] {
    return listContainers(this.context, query);
  }

  /** Limits and restart policy take effect at once. For `changes` see remakeContainer. */
  async update(
    reference: string,
    resources: Resources,
    restart?: RestartPolicy,
    changes?: ContainerChanges,
  ): Promise<{ id: string; warnings: string[] }> {
    const container = this.find(reference);
    const isLimited = restart !== undefined || Object.values(resources).some((value) => value !== undefined);
    const warnings = isLimited || !changes ? await updateContainer(this.context, container, resources, restart) : [];
    if (changes) await remakeContainer(this.context, container, changes);
    return { id: container.id, warnings };
  }

  /** Entries of the container's log. `since` and `until` as the command line takes them. */
  logs(
    reference: string,
    query: { follow?: boolean; tail?: number; since?: string; until?: string },
    signal: AbortSignal,
  ): AsyncGenerator<LogEntry> {
    const container = this.find(reference);
    const { record } = container;
    const format = logFormat(record.request.log);
    if (format === null) {
      throw new OnggiError("no_logs", `container ${record.name} has log driver none; there is nothing to read`);
    }
    const moment = (name: string, text: string | undefined) => {
      if (text === undefined || text === "") return undefined;
      const value = parseMoment(text);
      if (value === undefined) {
        throw new OnggiError(
          "invalid_time",
          `--${name} ${text}: give a date (RFC 3339), unix seconds, or a duration such as 10m`,
        );
      }
      return value;
    };
    const range = { since: moment("since", query.since), until: moment("until", query.until) };
    const ended = container.isUp ? container.nextExit() : Promise.resolve();
    const { log } = containerPaths(this.context.layout, record.id, record.logFile);
    return readLog(log, format, { follow: !!query.follow, tail: query.tail, ...range }, ended, signal);
  }

  /** What goes with each of a container's entries, "a=1,b=2", as its log options say. */
  logDetails(reference: string): string {
    const { record } = this.find(reference);
    const pairs = Object.entries(attributesOf(this.context, record)).sort(([a], [b]) => (a < b ? -1 : 1));
    return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join(",");
  }

  /** Empties a container's log, also while it runs. */
  clearLog(reference: string): string {
    const container = this.find(reference);
    const { log } = containerPaths(this.context.layout, container.id, container.record.logFile);
    clearLog(log);
    container.shim?.reopenLogs();
    return container.id;
  }

  /** A sample of each container named, or of all that run (with `all`: of every one). */
  stats(references: readonly string[], all: boolean): StatsSample[] {
    const chosen = references.length > 0 ? references.map((one) => this.find(one)) : [...this.context.containers.values()];
    return chosen
      .filter((container) => references.length > 0 || all || container.isUp)
      .map((container) => sampleStats(this.context, container));
  }

  /** Events from `since` on that match all filters; goes on until `until` or abort, and does not wait when `until` is past. */
  events(query: EventQuery, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    return followEvents(this.context.events, query, signal);
  }

  /** Throws what `events` would at its first event: `invalid_filter`, `invalid_time`. */
  checkEvents(query: EventQuery): void {
    checkEventQuery(query);
  }

  /** The plan of the container this request would make; makes nothing. */
  async explain(request: ContainerRequest): Promise<{ text: string; plan: unknown }> {
    await this.learn(request);
    const { plan, limits } = explainContainer(this.context, request);
    return { text: explain(plan, { written: limits }), plan: { limits, ...explainJson(plan) } };
  }

  /** Removes containers that do not run; see pruneContainers. */
  pruneContainers(filters: Record<string, string[]>): ReturnType<typeof pruneContainers> {
    return pruneContainers(this.context, filters);
  }

  diskUsage(): DiskUsage {
    return diskUsage(this.context);
  }

  /** Which limits this host can set at all. */
  limits(): LimitsThere {
    return limitsThere();
  }

  listRuntimes(): Promise<RuntimeInfo[]> {
    return this.context.runtimes.list();
  }

  status(): EngineStatus {
    const { layout, facts, containers, images, cgroups, startedNs, version } = this.context;
    const count = (...statuses: string[]) =>
      [...containers.values()].filter(({ record }) => statuses.includes(record.state.status)).length;
    return {
      pid: process.pid,
      version,
      root: layout.root,
      run: layout.run,
      startedAt: rfc3339(startedNs),
      containers: {
        running: count("running"),
        paused: count("paused"),
        stopped: count("created", "restarting", "exited", "dead", "removing"),
      },
      images: images.list().length,
      cgroup: cgroups.version,
      cgroupDriver: cgroups.driver,
      kernel: release(),
      features: {
        overlayFds: facts.overlayFds,
        cloneDetached: facts.cloneDetached,
        idmap: facts.idmap,
        userNamespaces: facts.idmap && facts.overlayFds && facts.cloneDetached,
      },
      rssBytes: process.memoryUsage.rss(),
    };
  }

  /** Lets go of everything; containers run on. */
  async close(): Promise<void> {
    const { context } = this;
    context.closing = true;
    context.leases.suspend();
    this.unwatchGuests();
    this.stopCollecting();
    context.restarts.close();
    context.probes.close();
    context.packs.close();
    for (const container of context.containers.values()) {
      await container.lock.run(() => {
        container.shim?.disconnect();
        container.shim = null;
      });
    }
    await context.forwards.close();
    await Promise.allSettled(context.background);
    if (![...context.containers.values()].some(({ isUp }) => isUp)) {
      for (const group of Object.values(context.cgroupRoots)) {
        await context.cgroups.remove(group).catch((error: unknown) => context.log(`remove cgroup: ${error}`));
      }
    }
    context.registries.close();
    context.images.close();
    await context.dns.close();
    await context.networks.withdraw();
    await context.networks.close();
    context.cni.close();
    context.table.close();
    context.guests.close();
    context.leases.close();
    context.snapshots.close();
    context.imageUses.close();
    context.imageMounts.close();
    context.volumes.close();
    close(this.lock);
  }
}
