/**
 * Restoring a container's processes.
 *
 * criu runs as the front's child, in the container's cgroup, and makes its processes as siblings of itself; the first of them
 * then takes its place with the front. It tells of every step, and waits while the host's part of it is done.
 */
import { mkdirSync, readFileSync, readlinkSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { OnggiError } from "../../lib/errors.ts";
import type { OneShot } from "../../native/oneshot.ts";
import { bindSources } from "../../runtime/bind-sources.ts";
import { removeRdtGroup } from "../../runtime/intel-rdt.ts";
import { withDefaultDevices } from "../../runtime/resources.ts";
import { SOCK } from "../../sys/constants.ts";
import { close, dup } from "../../sys/file.ts";
import { shutdown, socketpair } from "../../sys/socket.ts";
import type { OwnCgroup } from "../cgroup.ts";
import { compileCriu, FIRST } from "../compile-criu.ts";
import type { ContainerDirectory, ContainerRecord } from "../directory.ts";
import { runHooks } from "../hooks.ts";
import type { Host } from "../host.ts";
import { launch, release, waitExit } from "../launch.ts";
import { type CacheShare, joinCacheShare, makeCacheShare, netDevicesOf } from "../outside.ts";
import { identityOf, type ProcessIdentity } from "../process.ts";
import { noCgroup, supervision } from "../setup.ts";
import type { RestoreOptions } from "../types.ts";
import { converse } from "./conversation.ts";
import { setLoopbackUp } from "./loopback.ts";
import { mountsToRestore } from "./mounts.ts";
import type { NamespacesToRestore } from "./namespaces.ts";
import { criuEnvironment } from "./program.ts";
import { type CriuSettings, encodeRequest } from "./rpc.ts";
import { closeDirectories, commonSettings, type Directories, openDirectories } from "./settings.ts";

export interface RestorationInput {
  readonly host: Host;
  readonly front: OneShot;
  readonly options: RestoreOptions;
  readonly record: ContainerRecord;
  readonly cgroup: OwnCgroup | null;
  /** Made, and empty. */
  readonly directory: ContainerDirectory;
  /** The program's path. */
  readonly criu: string;
  /** Names of the standard streams the first process had. */
  readonly streams: readonly string[];
  readonly namespaces: NamespacesToRestore;
  readonly logFile: string;
}

export interface Restored {
  readonly init: ProcessIdentity;
  /** As it is written down now. */
  readonly record: ContainerRecord;
  /** The terminal's master; the caller closes it. */
  readonly master: number | null;
}

/** Returns when the processes run and the front looks after the first. Throws when there are none; the cgroup may be there. */
export const restoreProcesses = (input: RestorationInput): Promise<Restored> => new Restoration(input).run();

class Restoration {
  private readonly input: RestorationInput;
  private readonly mountpoint: string;
  private record: ContainerRecord;
  private init: ProcessIdentity | null = null;
  private master: number | null = null;
  private share: CacheShare | null = null;
  private netDevices: ((pid: number) => void) | null = null;

  constructor(input: RestorationInput) {
    this.input = input;
    this.record = input.record;
    this.mountpoint = join(input.directory.path, "criu-root");
  }

  async run(): Promise<Restored> {
    const { directory, host } = this.input;
    directory.write(this.record);
    mkdirSync(this.mountpoint, { mode: 0o700 });
    this.netDevices = await netDevicesOf(this.record.spec);
    try {
      if (!host.systemdCgroup) this.makeCgroup();
      this.share = makeCacheShare(this.record.spec, this.record.id);
      if (this.share) directory.writeShare(this.share.group);
      this.restore();
      rmdirSync(this.mountpoint);
      if (this.init === null) throw new OnggiError("criu_failed", "criu failed: it has not told of the restored process");
      return { init: this.init, record: this.record, master: this.master };
    } catch (error) {
      if (this.master !== null) close(this.master);
      if (this.share) removeRdtGroup(this.share.group);
      throw error;
    }
  }

  /** systemd makes a scope only around a process. */
  private makeCgroup(pid?: number): void {
    const { cgroup } = this.input;
    cgroup?.manager.create(cgroup.path, withDefaultDevices(this.record.spec.linux?.resources), pid === undefined ? {} : { pid });
  }

  private restore(): void {
    const { front } = this.input;
    const [ours, theirs] = socketpair(SOCK.SOCK_SEQPACKET);
    const ended = (): number => {
      shutdown(ours, 1);
      return waitExit(front);
    };
    try {
      const criu = this.launch(theirs);
      let pid: number | null;
      try {
        pid = this.request(ours, criu);
      } catch (error) {
        ended(); // when it has cleared away what it had made
        throw error;
      }
      const status = ended();
      if (pid !== null) front.adopt(pid);
      if (status !== 0) throw new OnggiError("criu_failed", `criu failed: exit status ${status}`);
    } finally {
      close(ours);
    }
  }

  private request(socket: number, criu: number): number | null {
    const directories = openDirectories(this.input.options, `/proc/${criu}/root`);
    try {
      const request = encodeRequest("restore", this.settings(criu, directories));
      return converse(socket, request, (script, pid, fd) => this.notified(script, pid, fd)).restoredPid;
    } finally {
      closeDirectories(directories);
    }
  }

  /** Starts criu; nobody but it has its end of the socket then. Returns its pid. */
  private launch(socket: number): number {
    const { front, namespaces, record, cgroup, host, criu } = this.input;
    try {
      const fds = [socket, ...namespaces.inherited.map(({ fd }) => fd)];
      const plan = compileCriu({
        criu,
        environment: Object.entries(criuEnvironment()).map(([name, value]) => `${name}=${value}`),
        spec: record.spec,
        rootfs: record.rootfs,
        mountpoint: this.mountpoint,
        facts: host.facts,
        bundle: record.bundle,
        fileSources: bindSources(record.spec, record.bundle).fileSources,
        cgroup: cgroup && !host.systemdCgroup ? cgroup.manager.join(cgroup.path) : noCgroup,
        stopWhenBorn: host.systemdCgroup,
        passed: fds.length,
        supervision: supervision(false),
      });
      const { pid } = launch(front, plan, fds, {
        born: (pid) => this.makeCgroup(pid),
      });
      if (this.share) joinCacheShare(this.share, pid);
      release(front, plan);
      return pid;
    } finally {
      close(socket);
    }
  }

  private settings(criu: number, directories: Directories): CriuSettings {
    const { options, namespaces, host, cgroup, logFile, streams } = this.input;
    const { spec, bundle } = this.record;
    return {
      ...commonSettings(options, this.record, directories, logFile),
      root: this.mountpoint,
      restoreSibling: true,
      evasiveDevices: true,
      externalMounts: mountsToRestore(spec, bundle, host.layout, cgroup?.path ?? null),
      cgroupRoots: cgroup === null ? [] : groupsOf(criu),
      inheritFds: [
        ...streams.flatMap((name, fd): [string, number][] => (name.startsWith("pipe:") ? [[name, fd]] : [])),
        ...namespaces.inherited.map(({ key }, index): [string, number] => [key, FIRST + 1 + index]),
      ],
      joinNamespaces: namespaces.join,
      lsmProfile: options.lsmProfile,
      lsmMountContext: options.lsmMountContext,
    };
  }

  private notified(script: string, pid: number, fd: number | null): void {
    if (script === "setup-namespaces") {
      setLoopbackUp(this.record.spec, pid);
      this.netDevices?.(pid);
      runHooks("prestart", this.record, "creating", pid);
      runHooks("createRuntime", this.record, "creating", pid);
    } else if (script === "orphan-pts-master" && fd !== null) {
      this.master = dup(fd);
    } else if (script === "post-restore") {
      // it does not run yet: whoever sees it run finds it written down
      const { directory } = this.input;
      this.record = withTimeNamespace(this.record, pid);
      directory.write(this.record);
      this.init = identityOf(pid);
      directory.writeInit(this.init);
    }
  }
}

/** Where a process is in each hierarchy: controller and path; cgroups(7). */
const groupsOf = (pid: number): [string, string][] =>
  readFileSync(`/proc/${pid}/cgroup`, "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
      return path === undefined || controllers === undefined
        ? []
        : controllers.split(",").map((controller): [string, string] => [controller, path]);
    });

/** criu puts processes into a time namespace, so that their clocks go on from where they stood; an exec joins them there. */
function withTimeNamespace(record: ContainerRecord, pid: number): ContainerRecord {
  const { linux = {} } = record.spec;
  const { namespaces = [] } = linux;
  const own = readlinkSync(`/proc/${pid}/ns/time`) !== readlinkSync("/proc/self/ns/time");
  if (!own || namespaces.some(({ type }) => type === "time")) return record;
  return { ...record, spec: { ...record.spec, linux: { ...linux, namespaces: [...namespaces, { type: "time" }] } } };
}
