/** What create and run have in common: from a bundle to a process that stands at `created`. */
import type { OneShot } from "../native/oneshot.ts";
import type { Plan, Supervision } from "../plan/ops.ts";
import { bindSources, tmpfsModes } from "../runtime/bind-sources.ts";
import type { CgroupJoin } from "../runtime/cgroups/index.ts";
import { compileCreate } from "../runtime/compile.ts";
import { hookState } from "../runtime/hooks.ts";
import { removeRdtGroup } from "../runtime/intel-rdt.ts";
import { withDefaultDevices } from "../runtime/resources.ts";
import { O, S } from "../sys/constants.ts";
import { close, memfd, mknodat, openat, openDir } from "../sys/file.ts";
import { ftruncate, writeAll } from "../sys/io.ts";
import { getegid, geteuid } from "../sys/process.ts";
import { fstat, makedev } from "../sys/stat.ts";
import type { OwnCgroup } from "./cgroup.ts";
import { ContainerDirectory, type ContainerRecord, RESULT_FIFO, START_FIFO } from "./directory.ts";
import { stepsAfterStart } from "./failure.ts";
import { handOver } from "./hand-over.ts";
import { runHooks } from "./hooks.ts";
import type { Host } from "./host.ts";
import { mountUserNamespaces } from "./id-maps.ts";
import { launch } from "./launch.ts";
import { type CacheShare, joinCacheShare, makeCacheShare, netDevicesOf } from "./outside.ts";
import { mapIdsByTools, needsMapTools } from "./own-maps.ts";
import { identityOf, type ProcessIdentity } from "./process.ts";
import { newRecord } from "./record.ts";
import { seccompOf, sendListener } from "./seccomp.ts";
import type { CreateOptions, Status } from "./types.ts";

/** A container whose first process waits to be started. */
export interface SetUp {
  readonly front: OneShot;
  readonly directory: ContainerDirectory;
  readonly record: ContainerRecord;
  readonly plan: Plan;
  readonly init: ProcessIdentity;
  /** The terminal's master, if nobody was to be sent it; the caller closes it. */
  readonly master: number | null;
  /** Takes everything away that has been made. */
  undo(): Promise<void>;
}

const NULL_DEVICE = makedev(1, 3);

/** A process that nobody supervises. */
export const supervision = (tty: boolean): Supervision => ({
  tty,
  openStdin: true,
  stdinOnce: false,
  log: null,
  exitPath: null,
  durable: false,
});

/** The join of a process without a cgroup of its own. */
export const noCgroup: CgroupJoin = { cloneInto: null, tasks: [], oom: null };

/** Descriptors that a plan is passed, in the order of its registers; -1 is one that is not there yet. */
class Passed {
  readonly fds: number[] = [];

  add(fd: number): number {
    return this.fds.push(fd) - 1;
  }

  close(): void {
    for (const fd of this.fds.splice(0)) if (fd >= 0) close(fd);
  }
}

/**
 * `detached`: nobody of ours stays with the process. `byFifo`: a later command starts it; otherwise the front does. Refuses
 * what it can before anything is made. When it throws, everything that was made is gone.
 */
export async function setUp(
  host: Host,
  front: OneShot,
  options: CreateOptions,
  { detached, byFifo }: { readonly detached: boolean; readonly byFifo: boolean },
): Promise<SetUp> {
  const { record, cgroup } = newRecord(host, options, detached);
  const passed = new Passed();
  try {
    const job = new Job(host, front, options, record, cgroup, passed);
    return await job.run(byFifo);
  } finally {
    passed.close();
  }
}

/** Which of the caller's standard streams, which are the program's, are the null device. */
export const nullStreams = (): number[] => [0, 1, 2].filter((fd) => fstat(fd).rdev === NULL_DEVICE);

/** One set-up under way. */
class Job {
  private readonly host: Host;
  private readonly front: OneShot;
  private readonly options: CreateOptions;
  private readonly record: ContainerRecord;
  private readonly cgroup: OwnCgroup | null;
  private readonly passed: Passed;
  private hookStateFd: number | null = null;
  private share: CacheShare | null = null;
  private netDevices: ((pid: number) => void) | null = null;
  private readonly idMapsBy: "plan" | "caller";

  constructor(
    host: Host,
    front: OneShot,
    options: CreateOptions,
    record: ContainerRecord,
    cgroup: OwnCgroup | null,
    passed: Passed,
  ) {
    this.host = host;
    this.front = front;
    this.options = options;
    this.record = record;
    this.cgroup = cgroup;
    this.passed = passed;
    const { linux = {} } = record.spec;
    const mapped = host.facts.unprivileged && linux.namespaces?.some(({ type, path }) => type === "user" && path === undefined);
    this.idMapsBy = mapped && needsMapTools(linux, geteuid(), getegid()) ? "caller" : "plan";
  }

  async run(byFifo: boolean): Promise<SetUp> {
    const { record, host, cgroup } = this;
    const seccomp = await seccompOf(host, record.spec);
    this.netDevices = await netDevicesOf(record.spec);
    const fifos = byFifo ? { start: this.passed.add(-1), result: this.passed.add(-1) } : undefined;
    const plan = this.compile(seccomp ?? undefined, fifos);
    const directory = ContainerDirectory.make(host.root, record.id);
    const undo = async () => {
      if (cgroup) await cgroup.manager.remove(cgroup.path);
      if (this.share) removeRdtGroup(this.share.group);
      directory.remove();
    };
    try {
      directory.write(record);
      if (fifos) this.makeFifos(directory, fifos);
      if (!host.systemdCgroup) this.makeCgroup();
      this.share = makeCacheShare(record.spec, record.id);
      if (this.share) directory.writeShare(this.share.group);
      const { pid, master } = launch(this.front, plan, this.passed.fds, {
        born: (pid) => this.born(pid),
        mounted: (pid) => this.mounted(pid),
        filtered: (pid, listener) => sendListener(record, "creating", pid, listener),
      });
      const init = identityOf(pid);
      directory.writeInit(init);
      if (fifos) directory.writeSteps(stepsAfterStart(plan));
      this.writeHookState("created", pid);
      return { front: this.front, directory, record, plan, init, master: handOver(this.options, { pid, master }), undo };
    } catch (error) {
      await undo().catch(() => {}); // what led here is the better thing to tell
      directory.close();
      throw error;
    }
  }

  private compile(
    program: Parameters<typeof compileCreate>[0]["seccompProgram"],
    fifos?: { start: number; result: number },
  ): Plan {
    const { record, host, options, cgroup } = this;
    const { spec } = record;
    const { hooks = {} } = spec;
    const inContainer = (hooks.createContainer?.length ?? 0) + (hooks.startContainer?.length ?? 0) > 0;
    if (inContainer) {
      this.hookStateFd = memfd("onggi-state");
    }
    const maps = mountUserNamespaces(spec, { bundle: record.bundle, passedBefore: this.passed.fds.length });
    for (const fd of maps.fds) this.passed.add(fd);
    return compileCreate({
      spec,
      mountUserns: maps.mountUserns,
      idMapsBy: this.idMapsBy,
      mountsInOrder: true,
      root: { kind: "directory", path: record.rootfs },
      facts: host.facts,
      cgroup: cgroup && !host.systemdCgroup ? cgroup.manager.join(cgroup.path) : noCgroup,
      supervision: supervision(!!spec.process?.terminal),
      seccompProgram: program,
      bundle: record.bundle,
      id: record.id,
      ...bindSources(spec, record.bundle),
      tmpfsModes: this.tmpfsModes(),
      noPivot: options.noPivot,
      hookState: this.hookStateFd === null ? undefined : this.passed.add(this.hookStateFd),
      standalone: {
        preserveFds: options.preserveFds ?? 0,
        nullStreams: nullStreams(),
        fifos,
        stopWhenBorn: this.stopsWhenBorn(),
        stopWhenMounted: (hooks.prestart?.length ?? 0) + (hooks.createRuntime?.length ?? 0) > 0 || inContainer,
        noNewKeyring: options.noNewKeyring ?? false,
      },
    });
  }

  private stopsWhenBorn(): boolean {
    const outside = this.record.spec.linux?.intelRdt !== undefined || this.netDevices !== null;
    return this.host.systemdCgroup || this.idMapsBy === "caller" || outside;
  }

  /** systemd makes a scope only around a process: that one is put there instead of joining by itself. */
  private makeCgroup(pid?: number): void {
    const { cgroup, record } = this;
    cgroup?.manager.create(cgroup.path, withDefaultDevices(record.spec.linux?.resources), pid === undefined ? {} : { pid });
  }

  private tmpfsModes(): Record<number, number> {
    const root = openDir(this.record.rootfs);
    try {
      return tmpfsModes(this.record.spec, root);
    } finally {
      close(root);
    }
  }

  /** Opened for reading and writing: neither end then waits for the other, and the child is both reader and writer. */
  private makeFifos(directory: ContainerDirectory, { start, result }: { start: number; result: number }): void {
    for (const [index, name] of [
      [start, START_FIFO],
      [result, RESULT_FIFO],
    ] as const) {
      mknodat(directory.fd, name, S.S_IFIFO | 0o600);
      this.passed.fds[index] = openat(directory.fd, name, O.O_RDWR | O.O_CLOEXEC);
    }
  }

  private born(pid: number): void {
    const { linux = {} } = this.record.spec;
    if (this.idMapsBy === "caller") mapIdsByTools(pid, linux);
    if (this.host.systemdCgroup) this.makeCgroup(pid);
    if (this.share) joinCacheShare(this.share, pid);
    this.netDevices?.(pid);
  }

  private mounted(pid: number): void {
    this.writeHookState("creating", pid);
    runHooks("prestart", this.record, "creating", pid);
    runHooks("createRuntime", this.record, "creating", pid);
  }

  private writeHookState(status: Status, pid: number): void {
    if (this.hookStateFd === null) return;
    ftruncate(this.hookStateFd, 0);
    writeAll(this.hookStateFd, JSON.stringify(hookState(this.record, status, pid)), 0);
  }
}
