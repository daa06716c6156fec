/** The volumes of one data root: records, directories, mounts, and who uses what. See index.ts. */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { copyTree } from "../archive/copy-tree.ts";
import { bytesBelow } from "../lib/disk.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { Mutex } from "../lib/mutex.ts";
import { nowNs, rfc3339 } from "../lib/time.ts";
import { close, O, open, parseMountinfo } from "../sys/index.ts";
import { type VolumeRecord, VolumeTable } from "./database.ts";
import { finishFill, isEmpty, stage, stagingPaths, sync } from "./fill.ts";
import { makeImageFile } from "./image-file.ts";
import { clearImage, isMounted, mountSource, unmount } from "./mount.ts";
import { parseVolumeOptions, type VolumeSource } from "./options.ts";
import type { Filled, Volume, VolumeRequest, Volumes, VolumesOptions } from "./types.ts";

/** Docker's names: at least two characters. */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}$/;
const DIRECTORY = O.O_PATH | O.O_DIRECTORY | O.O_NOFOLLOW;

/** Opens, or makes, the volumes of a data root. `reconcile` is to be called before anything else is. */
export const openVolumes = (options: VolumesOptions): Volumes => new LocalVolumes(options);

interface Entry {
  readonly record: VolumeRecord;
  readonly source: VolumeSource;
  /** Serialises what mounts, unmounts, fills and removes. */
  readonly lock: Mutex;
  users: number;
  holds: number;
}

class LocalVolumes implements Volumes {
  readonly #options: VolumesOptions;
  readonly #table: VolumeTable;
  readonly #entries = new Map<string, Entry>();
  /** Names whose volume is being made. */
  readonly #making = new Map<string, Promise<unknown>>();

  constructor(options: VolumesOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true, mode: 0o700 });
    this.#table = new VolumeTable(options.database);
    for (const record of this.#table.all()) this.#entries.set(record.name, entryOf(record));
  }

  async create(request: VolumeRequest): Promise<{ volume: Volume; made: boolean }> {
    return this.#create(request, null);
  }

  async #create(
    request: VolumeRequest,
    fill: ((directory: number) => Promise<unknown>) | null,
  ): Promise<{ volume: Volume; made: boolean }> {
    const name = request.name ?? randomBytes(32).toString("hex");
    const { driver = "local", options = {}, labels = {}, owner = null, durable = true } = request;
    if (driver !== "local" && driver !== "") {
      throw new OnggiError("volume_driver_unknown", `volume driver ${driver}: there is only "local"`);
    }
    if (!NAME.test(name)) {
      throw new OnggiError(
        "invalid_volume_name",
        `volume name ${JSON.stringify(name)}: two to 255 letters, digits, "_", "." and "-", the first a letter or digit; a host directory is named by its absolute path`,
      );
    }
    const source = parseVolumeOptions(options);
    await this.#making.get(name)?.catch(() => {});
    const there = this.#entries.get(name);
    if (there) return { volume: this.#same(there, request), made: false };
    const record: VolumeRecord = {
      ...{ name, created: rfc3339(nowNs()), options, labels, owner },
      anonymous: request.anonymous ?? request.name === undefined,
      ...(request.lease === undefined ? {} : { lease: request.lease }),
      phase: source.kind === "directory" && fill === null ? "ready" : "making",
    };
    const entry: Entry = { record, source, lock: new Mutex(), users: 0, holds: 0 };
    const making = this.#make(entry, fill, durable);
    this.#making.set(name, making);
    try {
      await making;
    } finally {
      this.#making.delete(name);
    }
    this.#entries.set(name, entry);
    return { volume: this.#shown(entry), made: true };
  }

  /** The volume that is there already, if it is what is asked for. */
  #same(entry: Entry, { name, options = {} }: VolumeRequest): Volume {
    const was = entry.record.options;
    const differs = Object.keys(options).length > 0 && JSON.stringify(sorted(options)) !== JSON.stringify(sorted(was));
    if (differs) {
      throw new OnggiError(
        "volume_exists",
        `volume ${name} is there with other options (${JSON.stringify(was)}); remove it first, or choose another name`,
      );
    }
    return this.#shown(entry);
  }

  /** The record comes first: what is made without one would be nobody's. */
  async #make(entry: Entry, fill: ((directory: number) => Promise<unknown>) | null, durable: boolean): Promise<void> {
    const { record, source } = entry;
    const { name } = record;
    try {
      this.#table.put(record, durable && record.phase === "ready");
      this.#makeDirectories(name);
      if (record.phase === "ready") return;
      if (source.kind === "image") {
        await makeImageFile(this.#image(name), source.type, source.size);
        if (source.type === "ext4") clearImage(source.type, this.#image(name), source.how);
      }
      if (fill) await this.#inside(entry, (directory) => fill(directory));
      if (fill) await sync(this.#path(name));
      record.phase = "ready";
      this.#table.put(record, durable);
    } catch (error) {
      this.#discard(name);
      this.#table.delete(name, false);
      throw error;
    }
  }

  /** With the volume mounted for as long as `work` lasts; the entry need not be known yet. */
  async #inside<T>(entry: Entry, work: (directory: number) => Promise<T> | T): Promise<T> {
    await this.#enter(entry);
    let fd: number | undefined;
    try {
      fd = open(this.#path(entry.record.name), DIRECTORY);
      return await work(fd);
    } finally {
      if (fd !== undefined) close(fd);
      await this.#leave(entry);
    }
  }

  get(name: string): Volume {
    return this.#shown(this.#entry(name));
  }

  find(name: string): Volume | undefined {
    const entry = this.#entries.get(name);
    return entry && this.#shown(entry);
  }

  list(): readonly Volume[] {
    return [...this.#entries.values()].map((entry) => this.#shown(entry)).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  async remove(name: string, check: () => void = () => {}): Promise<void> {
    const entry = this.#entry(name);
    await entry.lock.run(() => {
      if (this.#entries.get(name) !== entry) throw notFound(name);
      if (entry.users > 0 || entry.holds > 0) {
        throw new OnggiError("volume_in_use", `volume ${name} is in use; remove or stop what uses it first`);
      }
      check();
      this.#clearMounts(name);
      this.#entries.delete(name);
      entry.record.phase = "removing";
      this.#remove(entry.record);
    });
  }

  /** What deletes a directory would delete what is mounted below it. */
  #clearMounts(name: string): void {
    if (existsSync(this.#path(name))) unmount(this.#path(name));
    const below = mountBelow(this.#directory(name));
    if (below) throw new OnggiError("volume_in_use", `something is mounted on ${below}, in volume ${name}; unmount that first`);
  }

  /** Nobody sees it any more; whoever dies in here is followed by somebody who goes on. */
  #remove(record: VolumeRecord): void {
    this.#table.put(record, record.owner === null);
    this.#discard(record.name);
    this.#table.delete(record.name, false);
  }

  hold(name: string): () => void {
    const entry = this.#entry(name);
    entry.holds++;
    let held = true;
    return () => {
      if (held) entry.holds--;
      held = false;
    };
  }

  disown(name: string): void {
    const { record } = this.#entry(name);
    if (record.owner === null) return;
    record.owner = null;
    this.#table.put(record, true);
  }

  acquire(name: string): Promise<void> {
    return this.#enter(this.#entry(name));
  }

  async #enter(entry: Entry): Promise<void> {
    const { name } = entry.record;
    entry.users++;
    if (entry.source.kind === "directory") return;
    try {
      await entry.lock.run(async () => {
        if (!isMounted(this.#path(name))) await mountSource(entry.source, this.#path(name), this.#image(name));
      });
    } catch (error) {
      entry.users--;
      throw error;
    }
  }

  async release(name: string): Promise<void> {
    const entry = this.#entries.get(name);
    if (entry) await this.#leave(entry);
  }

  async #leave(entry: Entry): Promise<void> {
    entry.users = Math.max(0, entry.users - 1);
    if (entry.users > 0 || entry.source.kind === "directory") return;
    await entry.lock.run(() => {
      if (entry.users === 0) this.#unmount(entry.record.name);
    });
  }

  #unmount(name: string): void {
    try {
      unmount(this.#path(name));
    } catch (error) {
      this.#options.log(`unmount volume ${name}: ${messageOf(error)}`);
    }
  }

  users(name: string): number {
    return this.#entry(name).users;
  }

  use<T>(name: string, work: (directory: number) => Promise<T> | T): Promise<T> {
    return this.#inside(this.#entry(name), work);
  }

  async fill(name: string, work: (directory: number) => Promise<unknown>): Promise<boolean> {
    const entry = this.#entry(name);
    const path = this.#path(name);
    await this.#enter(entry);
    try {
      return await entry.lock.run(async () => {
        if (!isEmpty(path)) return false;
        const mounted = entry.source.kind !== "directory";
        const staged = await stage(this.#directory(name), path, mounted, work);
        // nobody has it open: the directory as a whole takes the empty one's place
        if (!mounted && entry.users === 1 && staged.replace()) return true;
        entry.record.phase = "filling";
        this.#table.put(entry.record, true);
        finishFill(staged.path, path);
        entry.record.phase = "ready";
        this.#table.put(entry.record, false);
        return true;
      });
    } finally {
      await this.#leave(entry);
    }
  }

  async clone(source: string, request: VolumeRequest): Promise<{ volume: Volume } & Filled> {
    const name = request.name;
    if (name !== undefined && this.#entries.has(name)) {
      throw new OnggiError("volume_exists", `volume ${name} is there already; choose another name`);
    }
    return this.use(source, async (from) => {
      let filled: Filled = { bytes: 0, shared: 0 };
      const { volume, made } = await this.#create(request, async (to) => {
        filled = await copyTree(from, to, { reflink: true });
      });
      if (!made) throw new OnggiError("volume_exists", `volume ${volume.name} is there already; choose another name`);
      return { volume, ...filled };
    });
  }

  size(name: string): number | null {
    const { source } = this.#entry(name);
    const path = this.#path(name);
    if (source.kind === "image") return allocated(this.#image(name));
    if (source.kind === "mount" && NO_SIZE.test(source.type)) return null;
    return source.kind === "directory" || isMounted(path) ? bytesBelow(path) : null;
  }

  fileSystem({ name, options }: { name?: string; options?: Readonly<Record<string, string>> }): {
    path: string | null;
    type: string | null;
  } {
    const source = (name === undefined ? undefined : this.#entries.get(name)?.source) ?? parseVolumeOptions(options ?? {});
    if (source.kind === "directory") return { path: this.#options.directory, type: null };
    if (source.kind === "bind") return { path: source.device, type: null };
    return { path: null, type: source.type };
  }

  async reconcile(inUse: readonly string[], owners: ReadonlySet<string>): Promise<void> {
    for (const name of inUse) {
      const entry = this.#entries.get(name);
      if (entry) entry.users++;
    }
    for (const entry of [...this.#entries.values()]) {
      try {
        await this.#settle(entry, owners);
      } catch (error) {
        this.#options.log(`volume ${entry.record.name}: ${messageOf(error)}`);
      }
    }
  }

  /** Ends what was begun. What a container that is gone owned goes too. */
  async #settle(entry: Entry, owners: ReadonlySet<string>): Promise<void> {
    const { record, source } = entry;
    const { name, phase, owner } = record;
    const path = this.#path(name);
    const ownerless = owner !== null && !owners.has(owner) && entry.users === 0;
    if (phase === "making" || phase === "removing" || ownerless) {
      this.#entries.delete(name);
      record.phase = "removing";
      this.#remove(record);
      return;
    }
    this.#makeDirectories(name);
    const staging = stagingPaths(this.#directory(name), path);
    if (phase === "filling") {
      await this.#enter(entry);
      try {
        const there = staging.find((each) => existsSync(each));
        if (there) finishFill(there, path);
      } finally {
        await this.#leave(entry);
      }
      record.phase = "ready";
      this.#table.put(record, true);
    }
    for (const each of staging) rmSync(each, { recursive: true, force: true });
    if (entry.users === 0 && source.kind !== "directory" && isMounted(path)) this.#unmount(name);
  }

  close(): void {
    this.#table.close();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw notFound(name);
    return entry;
  }

  #shown({ record }: Entry): Volume {
    const { name, created, options, labels, anonymous, owner, lease } = record;
    const whose = lease === undefined ? { owner } : { owner, lease };
    return { name, driver: "local", created, options, labels, anonymous, ...whose, mountpoint: this.#path(name) };
  }

  #makeDirectories(name: string): void {
    mkdirSync(this.#directory(name), { recursive: true, mode: 0o700 });
    mkdirSync(this.#path(name), { recursive: true, mode: 0o755 });
  }

  /** Never with something mounted below: what deletes it would delete there. */
  #discard(name: string): void {
    this.#clearMounts(name);
    if (existsSync(this.#directory(name))) this.#options.discard(this.#directory(name));
  }

  readonly #directory = (name: string): string => join(this.#options.directory, name);
  readonly #path = (name: string): string => join(this.#options.directory, name, "_data");
  readonly #image = (name: string): string => join(this.#options.directory, name, "_image");
}

function mountBelow(path: string): string | undefined {
  const mounts = parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
  return mounts.find(({ mountPoint }) => mountPoint.startsWith(`${path}/`))?.mountPoint;
}

/** Bytes of the disk that a sparse file takes. */
const allocated = (path: string): number => (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;

/** Counting what a server has may take for ever. */
const NO_SIZE = /^(nfs4?|cifs|smb3|ceph|9p)$/;

const entryOf = (record: VolumeRecord): Entry => ({
  record,
  source: parseVolumeOptions(record.options),
  lock: new Mutex(),
  users: 0,
  holds: 0,
});

const sorted = (record: Readonly<Record<string, string>>): [string, string][] =>
  Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));

const notFound = (name: string): OnggiError => new OnggiError("volume_not_found", `no such volume: ${name}; see onggi volume ls`);
