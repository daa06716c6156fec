/**
 * One container's state on disk, `<root>/<id>/`:
 *
 *     state.json  what the container is: written whole before anything of it is made
 *     init        pid and start time of its first process: written when there is one
 *     steps.json  what a created process still has to do
 *     rdt.json    its group of resctrl, if it has one
 *     start       FIFO the created process waits at; gone once it has been told to start
 *     result      FIFO by which a started process says that it failed
 *
 * A directory is made by whoever creates the container and locked (flock) by whoever changes it, so half of a creation is seen
 * by nobody but `delete --force`.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import type { RdtGroup } from "../runtime/intel-rdt.ts";
import { LOCK, O } from "../sys/constants.ts";
import { isErrno } from "../sys/errno.ts";
import { close, flock, open } from "../sys/file.ts";
import { fstat } from "../sys/stat.ts";
import type { Steps } from "./failure.ts";
import { checkId } from "./id.ts";
import { type ProcessIdentity, parseIdentity } from "./process.ts";

/** What is written down about a container. */
export interface ContainerRecord {
  readonly version: 1;
  readonly id: string;
  readonly bundle: string;
  /** Absolute. */
  readonly rootfs: string;
  /** RFC 3339. */
  readonly created: string;
  readonly owner: string;
  readonly systemdCgroup: boolean;
  /** Below the root of every hierarchy; null: the host's cgroups cannot be used, and need not be. */
  readonly cgroupPath: string | null;
  /**
   * What the first process was given as standard streams, "pipe:[1234]" or a path: a checkpoint's pipes that lead outside are
   * told by it. Absent: written by a version that could not checkpoint.
   */
  readonly streams?: readonly string[];
  readonly spec: Spec;
}

export const START_FIFO = "start";
export const RESULT_FIFO = "result";
const RECORD = "state.json";
const INIT = "init";
const STEPS = "steps.json";
const SHARE = "rdt.json";

const notFound = (id: string, cause: unknown) =>
  new OnggiError("container_not_found", `container does not exist: ${id}`, { cause });

const exists = (id: string, cause?: unknown) =>
  new OnggiError("container_exists", `container with given ID already exists: ${id}`, { cause });

export class ContainerDirectory {
  readonly path: string;
  /** Open for as long as this object: the lock hangs on it. */
  readonly fd: number;
  private readonly id: string;

  private constructor(id: string, path: string, fd: number) {
    this.id = id;
    this.path = path;
    this.fd = fd;
  }

  /** Throws OnggiError `container_exists`. */
  static refuseExisting(root: string, id: string): void {
    checkId(id);
    if (existsSync(`${root}/${id}`)) throw exists(id);
  }

  /**
   * Makes the directory and locks it. It is whoever's first locks it and finds nothing written there: between its making and its
   * locking others may have deleted it, and made it anew. Throws OnggiError `container_exists`.
   */
  static make(root: string, id: string): ContainerDirectory {
    checkId(id);
    mkdirSync(root, { recursive: true, mode: 0o700 });
    for (;;) {
      try {
        mkdirSync(`${root}/${id}`, { mode: 0o700 });
      } catch (error) {
        if (!isErrno(error, "EEXIST")) throw error;
        throw exists(id, error);
      }
      const directory = ContainerDirectory.lockNew(root, id);
      if (directory) return directory;
    }
  }

  /** Null: deleted before it could be locked. Throws OnggiError `container_exists`. */
  private static lockNew(root: string, id: string): ContainerDirectory | null {
    let directory: ContainerDirectory;
    try {
      directory = ContainerDirectory.at(root, id, "wait");
    } catch (error) {
      if (error instanceof OnggiError && error.code === "container_not_found") return null;
      throw error;
    }
    if (!existsSync(`${directory.path}/${RECORD}`)) return directory;
    directory.close();
    throw exists(id);
  }

  /** Throws OnggiError `container_not_found`. "wait": locks it, when nobody else has it locked any more. */
  static at(root: string, id: string, lock: "wait" | "none"): ContainerDirectory {
    checkId(id);
    const path = `${root}/${id}`;
    for (;;) {
      let fd: number;
      try {
        fd = open(path, O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC);
      } catch (error) {
        if (isErrno(error, "ENOENT", "ENOTDIR")) throw notFound(id, error);
        throw error;
      }
      if (lock === "none") return new ContainerDirectory(id, path, fd);
      flock(fd, LOCK.LOCK_EX);
      // whoever had it locked may have deleted it, and somebody made it anew
      if (isStill(fd, path)) return new ContainerDirectory(id, path, fd);
      close(fd);
    }
  }

  /** Whole or not at all. */
  write(record: ContainerRecord): void {
    this.writeWhole(RECORD, JSON.stringify(record));
  }

  /** Throws OnggiError `container_not_found` while nothing is written yet, `state_damaged`. */
  read(): ContainerRecord {
    let text: string;
    try {
      text = readFileSync(`${this.path}/${RECORD}`, "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT")) throw notFound(this.id, error);
      throw error;
    }
    try {
      return JSON.parse(text) as ContainerRecord;
    } catch (error) {
      throw new OnggiError("state_damaged", `${this.path}/${RECORD}: ${messageOf(error)}; delete --force removes the container`);
    }
  }

  writeInit(identity: ProcessIdentity): void {
    this.writeWhole(INIT, `${identity.pid} ${identity.startTime}\n`);
  }

  /** What a created process will still do, for the words of its failure. */
  writeSteps(steps: Steps): void {
    this.writeWhole(STEPS, JSON.stringify(steps));
  }

  readSteps(): Steps {
    return JSON.parse(readFileSync(`${this.path}/${STEPS}`, "utf8")) as Steps;
  }

  /** Its group of resctrl. */
  writeShare(group: RdtGroup): void {
    this.writeWhole(SHARE, JSON.stringify(group));
  }

  readShare(): RdtGroup | null {
    try {
      return JSON.parse(readFileSync(`${this.path}/${SHARE}`, "utf8")) as RdtGroup;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return null;
      throw error;
    }
  }

  /** Null before there is a process. */
  readInit(): ProcessIdentity | null {
    try {
      return parseIdentity(readFileSync(`${this.path}/${INIT}`, "utf8"));
    } catch (error) {
      if (isErrno(error, "ENOENT")) return null;
      throw error;
    }
  }

  /** Lets others change the container for a while. */
  unlock(): void {
    flock(this.fd, LOCK.LOCK_UN);
  }

  /** Locks it again. False: somebody has deleted it meanwhile, and what has its name now is another container. */
  lockAgain(): boolean {
    flock(this.fd, LOCK.LOCK_EX);
    return isStill(this.fd, this.path);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** Ends the lock. Idempotent use is not needed: once. */
  close(): void {
    close(this.fd);
  }

  private writeWhole(name: string, text: string): void {
    const path = `${this.path}/${name}`;
    writeFileSync(`${path}.new`, text, { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }
}

const fileOf = (fd: number): string => {
  const { dev, ino } = fstat(fd);
  return `${dev}:${ino}`;
};

function isStill(fd: number, path: string): boolean {
  try {
    const other = open(path, O.O_RDONLY | O.O_DIRECTORY | O.O_CLOEXEC);
    const same = fileOf(fd) === fileOf(other);
    close(other);
    return same;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** Ids of the containers below a root, those that are being made too. */
export function listIds(root: string): string[] {
  try {
    return readdirSync(root, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}
