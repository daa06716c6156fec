import { type Feed, follow } from "./channel.ts";
import { attachTo, buffered, spawnIn } from "./commands.ts";
import { containerChanges, networkEndpoint, resources, restartPolicy } from "./container-request.ts";
import { containerDetails } from "./details.ts";
import { ExecError, isOnggiError, OnggiError } from "./errors.ts";
import { Files } from "./files.ts";
import { type Link, making } from "./link.ts";
import { Logs } from "./logs.ts";
import type {
  Cancellable,
  CommitOptions,
  ContainerUpdate,
  Duration,
  ExecOptions,
  LogOptions,
  NetworkPlace,
  Protocol,
  SnapshotOptions,
  SpawnOptions,
  StopOptions,
  TerminalSize,
} from "./options.ts";
import { callOutput, type Output } from "./output.ts";
import type { InputData, Process } from "./process.ts";
import { milliseconds } from "./units.ts";
import type { ContainerDetails, ExecResult, ExitStatus, FileChange, ProcessList, Stats } from "./values.ts";
import { type Readiness, type ReadyContainer, untilReady } from "./wait.ts";

/**
 * A container. Its object holds no state of it: every method asks the engine.
 *
 *     await using container = await onggi.run("debian", ["sleep", "inf"]);
 *     const { stdout } = await container.exec(["cat", "/etc/hostname"]);
 *
 * Where the scope of `await using` ends, the container is removed with its anonymous volumes, running or not; one that was made with
 * `keep`, or that somebody else made, stays.
 */
export class Container implements AsyncDisposable {
  /** 64 hex digits. */
  readonly id: string;
  readonly files: Files;
  readonly #link: Link;
  readonly #keep: boolean;

  private constructor(link: Link, id: string, keep: boolean) {
    this.#link = link;
    this.id = id;
    this.#keep = keep;
    this.files = Files.of(link, { container: id });
  }

  /** @internal */
  static of(link: Link, id: string, keep: boolean): Container {
    return new Container(link, id, keep);
  }

  async inspect({ signal }: Cancellable = {}): Promise<ContainerDetails> {
    return containerDetails(await this.#link.call("inspect", { container: this.id }, {}, signal));
  }

  /** Runs a command to its end, and gives what it has said. With `check` an exit code other than 0 throws ExecError. */
  async exec(
    command: readonly string[],
    { check, input, ...options }: ExecOptions & { check?: boolean; input?: InputData } = {},
  ): Promise<ExecResult> {
    const process = await spawnIn(this.#link, this.id, command, options, input !== undefined);
    const result = await buffered(process, input);
    if (check && result.exitCode !== 0) throw new ExecError(command, result);
    return result;
  }

  /** Starts a command, with its streams. Throws where it cannot be started. Aborting `signal` kills it. */
  spawn(command: readonly string[], options: SpawnOptions = {}): Promise<Process> {
    return spawnIn(this.#link, this.id, command, options, true);
  }

  /**
   * The streams of the container's first process; input where the container was made with `stdin`. With `start` a container that does not
   * run is started for it, so that nothing is missed.
   */
  attach(options: Cancellable & { start?: boolean; size?: TerminalSize } = {}): Promise<Process> {
    return attachTo(this.#link, this.id, options);
  }

  /** What the container has said so far; with `follow` also what it will. */
  logs(options: LogOptions = {}): Logs {
    return Logs.of(this.#link, this.id, options);
  }

  /** Forgets what was recorded. */
  async clearLogs({ signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("logsClear", { container: this.id }, {}, signal);
  }

  /**
   * Waits until it is ready, as `waitFor` of `run` does. `since`: lines of its log that were there before do not count, as after a
   * `restart`. Throws WaitError.
   */
  async waitFor(
    readiness: Readiness | readonly Readiness[],
    { timeout = 60_000, since, signal }: Cancellable & { timeout?: Duration; since?: Date } = {},
  ): Promise<void> {
    await untilReady(this.#ready(since), readiness, milliseconds(timeout, "timeout"), signal);
  }

  /** Where the host reaches a port: as published, else the container's own address. Throws `port_not_published`. */
  async address(
    port: number,
    { protocol = "tcp", signal }: Cancellable & { protocol?: Protocol } = {},
  ): Promise<{ host: string; port: number }> {
    const details = await this.inspect({ signal });
    const { otherHost } = this.#link;
    const found = addressOf(details, port, protocol, otherHost);
    if (found) return found;
    const unreached =
      otherHost === undefined
        ? "it has no address that this machine reaches"
        : `it is published at no address of ${otherHost} but its own loopback; give it one: { port: ${port}, host: "0.0.0.0" }`;
    const why = details.status === "running" ? unreached : `it is ${details.status}`;
    throw new OnggiError("port_not_published", `port ${port}/${protocol} of container ${details.name} cannot be reached: ${why}`);
  }

  /** The host's port that leads to one of the container's. Throws `port_not_published`. */
  async port(port: number, { protocol = "tcp", signal }: Cancellable & { protocol?: Protocol } = {}): Promise<number> {
    const { ports, name } = await this.inspect({ signal });
    const found = ports.find((one) => one.port === port && one.protocol === protocol);
    if (found) return found.hostPort;
    const there = ports.map((one) => `${one.port}/${one.protocol}`).join(", ");
    const why = `port ${port}/${protocol} of container ${name} is not published; ${there || "no port"} is`;
    throw new OnggiError("port_not_published", `${why}. Name it in \`ports\` of run()`);
  }

  async start({ signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("start", { container: this.id }, {}, signal);
  }

  /** Its stop signal, or another one, then after `timeout` (10 s by default) SIGKILL. Resolves when it has ended. */
  async stop({ timeout, stopSignal, signal }: StopOptions = {}): Promise<void> {
    await this.#link.call("stop", { container: this.id, ...stopping({ timeout, stopSignal }) }, {}, signal);
  }

  async restart({ timeout, stopSignal, signal }: StopOptions = {}): Promise<void> {
    await this.#link.call("restart", { container: this.id, ...stopping({ timeout, stopSignal }) }, {}, signal);
  }

  /** Sends a signal, SIGKILL by default. */
  async kill(name = "SIGKILL", { signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("kill", { container: this.id, signal: name }, {}, signal);
  }

  async pause({ signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("pause", { container: this.id }, {}, signal);
  }

  async unpause({ signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("unpause", { container: this.id }, {}, signal);
  }

  /** Waits for its end: at once where it does not run; with "next-exit" for the next one, with "removed" until it is gone. */
  async wait({
    condition = "not-running",
    signal,
  }: Cancellable & { condition?: "not-running" | "next-exit" | "removed" } = {}): Promise<ExitStatus> {
    return this.#link.call("wait", { container: this.id, condition }, {}, signal);
  }

  /** With `force` also where it runs; `volumes`: its anonymous ones too, by default. */
  async remove({
    force = false,
    volumes = true,
    signal,
  }: Cancellable & { force?: boolean; volumes?: boolean } = {}): Promise<void> {
    await this.#link.call("remove", { container: this.id, force, volumes }, {}, signal);
  }

  async rename(name: string, { signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("rename", { container: this.id, name }, {}, signal);
  }

  /** Changes limits, published ports and its restart policy at once; mounts and variables by a stop and a start. */
  async update({ restart, signal, ...update }: ContainerUpdate): Promise<void> {
    const changes = containerChanges(update);
    const request = {
      container: this.id,
      resources: resources(update) ?? {},
      ...(restart === undefined ? {} : { restart: restartPolicy(restart) }),
      ...(changes ? { changes } : {}),
    };
    await this.#link.call("update", request, {}, signal);
  }

  /** Its processes, as ps(1) with these arguments shows them. */
  async top(args: readonly string[] = [], { signal }: Cancellable = {}): Promise<ProcessList> {
    return this.#link.call("top", { container: this.id, ...(args.length > 0 ? { args: [...args] } : {}) }, {}, signal);
  }

  /** What is otherwise than in the image. */
  async diff({ signal }: Cancellable = {}): Promise<readonly FileChange[]> {
    return (await this.#link.call("diff", { container: this.id }, {}, signal)).changes;
  }

  /** An image of its files as they are. Resolves with the image's id. */
  async commit({ name, author, message, changes, pause, signal }: CommitOptions = {}): Promise<string> {
    const request = {
      container: this.id,
      ...(name === undefined ? {} : { name }),
      ...(author === undefined ? {} : { author }),
      ...(message === undefined ? {} : { message }),
      ...(changes ? { changes: [...changes] } : {}),
      ...(pause === undefined ? {} : { pause }),
    };
    const { id } = await this.#link.call("commit", request, {}, signal);
    return id;
  }

  /** Its files as they are at one moment: what runs in it is frozen while they are read. docs/snapshots.md says what is promised. */
  async snapshot({ name, keep = false, signal }: SnapshotOptions = {}): Promise<Snapshot> {
    const request = { container: this.id, ...(name === undefined ? {} : { name }) };
    const make = async () =>
      Snapshot.of(this.#link, await this.#link.call("snapshot", { ...request, ...(await this.#link.lease(keep)) }), keep);
    return making(signal, make, (made) => made.remove());
  }

  /** Containers like this one, on its files as they are now: all of them or none. Nothing is copied. Not from its processes. */
  fork(count = 1, options: ForkOptions = {}): Promise<Forks> {
    return forksOf(this.#link, this.id, count, options);
  }

  /** All of its files, as a tar. */
  export({ signal }: Cancellable = {}): Output {
    return callOutput((stdout, cut) => this.#link.call("export", { container: this.id }, { stdout }, cut), signal);
  }

  /** What it uses now. */
  async stats({ signal }: Cancellable = {}): Promise<Stats> {
    let sample: Stats | undefined;
    const item = ({ samples }: { samples: Stats[] }): void => {
      sample = samples[0];
    };
    await this.#link.call("stats", { containers: [this.id], all: true }, { item }, signal);
    if (!sample) throw new OnggiError("protocol_error", "the engine sent no sample");
    return sample;
  }

  /** What it uses, every second, until nobody asks any more. */
  watchStats({ signal }: Cancellable = {}): Feed<Stats> {
    const request = { containers: [this.id], all: true, stream: true };
    return follow<Stats>((push, cut) => {
      const item = ({ samples }: { samples: Stats[] }) => samples[0] && push(samples[0]);
      return this.#link.call("stats", request, { item }, cut);
    }, signal);
  }

  /** Gives it a place in a network, by name or with what it is called there. */
  async connect(network: string | NetworkPlace, { signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("networkConnect", { container: this.id, endpoint: networkEndpoint(network) }, {}, signal);
  }

  async disconnect(network: string, { signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("networkDisconnect", { container: this.id, network }, {}, signal);
  }

  /** Removes it, unless it is to be kept. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keep) return;
    try {
      await this.remove({ force: true });
    } catch (error) {
      if (!isOnggiError(error, "container_not_found")) throw error;
    }
  }

  #ready(since?: Date): ReadyContainer {
    return {
      id: this.id,
      inspect: (signal) => this.inspect({ signal }),
      logs: (options) => this.logs({ ...(since ? { since } : {}), ...options }),
      exec: (command, signal) => this.exec(command, { signal }),
      address: (port) => this.address(port),
      ended: (signal) => this.wait({ signal }),
    };
  }
}

export interface ForkOptions extends Cancellable {
  /** Of one fork; of several the beginning: NAME-1, NAME-2. */
  readonly name?: string;
  /** False: they wait for `start`. */
  readonly start?: boolean;
  readonly keep?: boolean;
  /** When each of them is ready. */
  readonly waitFor?: Readiness | readonly Readiness[];
  readonly timeout?: Duration;
}

/** Containers whose files were another one's. The end of the scope of `await using` removes all of them. */
export type Forks = Container[] & AsyncDisposable;

/** A container's files as they were at one moment. It never changes, and needs its container no more. */
export class Snapshot implements AsyncDisposable {
  readonly id: string;
  readonly name: string;
  /** Bytes that it takes beside its container's image. */
  readonly size: number;
  readonly #link: Link;
  readonly #keep: boolean;

  private constructor(link: Link, { id, name, size }: SnapshotFacts, keep: boolean) {
    this.#link = link;
    this.id = id;
    this.name = name;
    this.size = size;
    this.#keep = keep;
  }

  /** @internal */
  static of(link: Link, facts: SnapshotFacts, keep: boolean): Snapshot {
    return new Snapshot(link, facts, keep);
  }

  /** Containers as the one it is of, on these files: all of them or none. */
  fork(count = 1, options: ForkOptions = {}): Promise<Forks> {
    return forksOf(this.#link, this.id, count, options);
  }

  /** Its forks stay. */
  async remove({ signal }: Cancellable = {}): Promise<void> {
    await this.#link.call("snapshotRemove", { snapshot: this.id }, {}, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#keep) return;
    try {
      await this.remove();
    } catch (error) {
      if (!isOnggiError(error, "snapshot_not_found")) throw error;
    }
  }
}

/** @internal */
export interface SnapshotFacts {
  readonly id: string;
  readonly name: string;
  readonly size: number;
}

async function forksOf(link: Link, reference: string, count: number, options: ForkOptions): Promise<Forks> {
  const { name, start, keep = false, waitFor, timeout, signal } = options;
  const request = {
    container: reference,
    count,
    ...(name === undefined ? {} : { name }),
    ...(start === undefined ? {} : { start }),
  };
  const make = async () => {
    const { containers } = await link.call("fork", { ...request, ...(await link.lease(keep)) });
    return containers.map(({ id }) => Container.of(link, id, keep));
  };
  const undo = (forks: readonly Container[]) => Promise.allSettled(forks.map((one) => one.remove({ force: true })));
  const made = await making(signal, make, undo);
  const removeAll = async (): Promise<void> => {
    await Promise.all(made.map((one) => one[Symbol.asyncDispose]()));
  };
  const forks = Object.defineProperty(made, Symbol.asyncDispose, { value: removeAll }) as Forks;
  if (!waitFor) return forks;
  try {
    await Promise.all(made.map((one) => one.waitFor(waitFor, { signal, ...(timeout === undefined ? {} : { timeout }) })));
  } catch (error) {
    await undo(made);
    throw error;
  }
  return forks;
}

const stopping = ({ timeout, stopSignal }: StopOptions): { timeout?: number; signal?: string } => ({
  ...(timeout === undefined ? {} : { timeout: Math.ceil(milliseconds(timeout, "timeout") / 1000) }),
  ...(stopSignal === undefined ? {} : { signal: stopSignal }),
});

/** `otherHost`: the host of the engine, if that is another: its loopback and its containers' own addresses are not reached from here. */
function addressOf(
  { ports, networks, networkMode, status }: ContainerDetails,
  port: number,
  protocol: string,
  otherHost: string | undefined,
): { host: string; port: number } | undefined {
  if (status !== "running") return undefined;
  if (networkMode === "host") return { host: otherHost ?? "127.0.0.1", port };
  const published = ports.find((one) => one.port === port && one.protocol === protocol);
  if (published) {
    const { host, hostPort } = published;
    if (host === "0.0.0.0" || host === "::") return { host: otherHost ?? (host === "::" ? "::1" : "127.0.0.1"), port: hostPort };
    return otherHost !== undefined && /^127\.|^::1$/.test(host) ? undefined : { host, port: hostPort };
  }
  const network = networks.find(({ ipv4, ipv6 }) => ipv4 ?? ipv6);
  return network && otherHost === undefined ? { host: (network.ipv4 ?? network.ipv6) as string, port } : undefined;
}
