/** Options that checkpoint and restore have in common. */
import { mkdirSync, realpathSync } from "node:fs";
import { CLONE } from "../../sys/constants.ts";
import { close, openDir } from "../../sys/file.ts";
import type { ContainerRecord } from "../directory.ts";
import type { CriuOptions } from "../types.ts";
import type { CriuSettings } from "./rpc.ts";

/** A file in the image directory: the streams of the first process, as runc writes it. */
export const STREAMS_FILE = "descriptors.json";

/** criu reads it if it is there; what it says goes before what is asked for by a request. Managers know it under runc's name. */
const CONFIG_FILE = "/etc/criu/runc.conf";
const CONFIG_ANNOTATION = "org.criu.config";

/** The most criu can say; it goes to a file. */
const LOG_LEVEL = 4;

/** Directories that criu is passed; whoever asked closes them. */
export interface Directories {
  readonly images: number;
  readonly work: number | null;
}

/**
 * Opens the directory of the image files, and that of the work files, made if need be. criu goes to the latter and mounts there,
 * so both must be of its mount namespace, whose root directory is `root`; "": the same as ours.
 */
export function openDirectories({ imagePath, workPath }: CriuOptions, root = ""): Directories {
  const open = (path: string): number => openDir(root + realpathSync(path));
  const images = open(imagePath);
  if (workPath === undefined) return { images, work: null };
  try {
    makeDirectory(workPath);
    return { images, work: open(workPath) };
  } catch (error) {
    close(images);
    throw error;
  }
}

export function closeDirectories({ images, work }: Directories): void {
  close(images);
  if (work !== null) close(work);
}

export const logPath = ({ imagePath, workPath }: CriuOptions, logFile: string): string => `${workPath ?? imagePath}/${logFile}`;

/** Only for its owner: it gets the memory of the container. */
export const makeDirectory = (path: string): void => void mkdirSync(path, { mode: 0o700, recursive: true });

export const commonSettings = (options: CriuOptions, { spec }: ContainerRecord, { images, work }: Directories, logFile: string) =>
  ({
    imagesDirFd: images,
    workDirFd: work ?? undefined,
    logLevel: LOG_LEVEL,
    logFile,
    externalUnixSockets: options.externalUnixSockets,
    tcpEstablished: options.tcpEstablished,
    shellJob: options.shellJob,
    fileLocks: options.fileLocks,
    autoDedup: options.autoDedup,
    lazyPages: options.lazyPages,
    cgroupsMode: options.cgroupsMode ?? "default",
    // network devices are others' to make: hooks, or a network plugin
    emptyNamespaces: CLONE.CLONE_NEWNET,
    orphanPtsMaster: true,
    networkLock: networkLock(options),
    configFile: configFile(spec.annotations),
  }) satisfies Partial<CriuSettings>;

/**
 * iptables is a program that criu runs; nftables it has in itself, but cannot lock a given namespace again that its dump has
 * left locked. Without connections to save there is nothing to lock for.
 */
function networkLock({ tcpEstablished }: CriuOptions): CriuSettings["networkLock"] {
  if (Bun.which("iptables-restore")) return "iptables";
  return tcpEstablished ? "nftables" : "skip";
}

function configFile(annotations: Readonly<Record<string, string>> = {}): string | undefined {
  const asked = annotations[CONFIG_ANNOTATION];
  return asked === undefined ? CONFIG_FILE : asked || undefined;
}
