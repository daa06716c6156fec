import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** Where one engine keeps what is its own. `root` survives a reboot, `run` need not. */
export interface Layout {
  readonly root: string;
  readonly run: string;
  /** One directory per container: upper layer, log, exit record, the shim's socket. */
  readonly containers: string;
  /** What has been removed for its owner and waits to be deleted. */
  readonly trash: string;
  readonly images: string;
  readonly volumes: string;
  readonly volumeDatabase: string;
  /** What containers have by CNI plugins: one file per attachment. */
  readonly cni: string;
  /** Directories that `image mount` makes. */
  readonly mounts: string;
  /** Files that can be made again: compiled seccomp programs. */
  readonly cache: string;
  readonly database: string;
  readonly lock: string;
  readonly socket: string;
  readonly log: string;
}

export function layoutOf(root: string, run: string): Layout {
  return Object.freeze({
    root,
    run,
    containers: join(root, "containers"),
    trash: join(root, "trash"),
    images: join(root, "images"),
    volumes: join(root, "volumes"),
    volumeDatabase: join(root, "volumes.db"),
    cni: join(root, "cni"),
    mounts: join(root, "mounts"),
    cache: join(root, "cache"),
    database: join(root, "engine.db"),
    lock: join(root, "engine.lock"),
    socket: join(run, "onggi.sock"),
    log: join(root, "engine.log"),
  });
}

/** Makes the directories. The data root is searchable by mapped container roots, readable by root alone. */
export function makeLayout(layout: Layout): void {
  for (const path of [layout.root, layout.containers]) mkdirSync(path, { recursive: true, mode: 0o711 });
  for (const path of [layout.run, layout.trash, layout.images, layout.mounts, layout.cache])
    mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** The files of one container. */
export interface ContainerPaths {
  readonly directory: string;
  readonly upper: string;
  readonly work: string;
  /** Empty; the root file system is attached here inside the container's own mount namespace only. */
  readonly mountpoint: string;
  readonly hostname: string;
  readonly hosts: string;
  readonly resolvConf: string;
  readonly exit: string;
  readonly log: string;
}

export const EXIT_RECORD = "exit";

export function containerPaths(layout: Layout, id: string, logFile = "container.log"): ContainerPaths {
  const directory = join(layout.containers, id);
  return {
    directory,
    upper: join(directory, "upper"),
    work: join(directory, "work"),
    mountpoint: join(directory, "rootfs"),
    hostname: join(directory, "hostname"),
    hosts: join(directory, "hosts"),
    resolvConf: join(directory, "resolv.conf"),
    exit: join(directory, EXIT_RECORD),
    log: join(directory, logFile),
  };
}
