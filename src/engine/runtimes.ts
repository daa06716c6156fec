/**
 * The OCI runtimes that can make containers here: onggi's own, which is built in, those named when the engine was started, and
 * those found in $PATH under their usual names. A path names one too.
 */
import { accessSync, constants, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { OnggiError } from "../lib/errors.ts";
import { SPEC_MAX } from "../oci/version.ts";
import { isErrno } from "../sys/index.ts";
import type { RuntimeInfo } from "./types.ts";

/** The name of the runtime that is part of the engine. */
export const BUILT_IN = "onggi";

const usual = ["runc", "crun", "onggi-runtime"];
const PROBE_MS = 10_000;

/** A runtime that is a program of its own. */
export interface ForeignRuntime {
  readonly name: string;
  readonly path: string;
}

export interface RuntimeOptions {
  /** Name -> path. */
  readonly named?: Readonly<Record<string, string>> | undefined;
  /** What makes the containers that name no runtime; absent: onggi itself. */
  readonly defaultName?: string | undefined;
}

/** What a runtime says about itself; empty where it does not. */
interface Facts {
  readonly version: string;
  readonly oci: string;
  readonly features: readonly string[];
  readonly problem: string;
}

export class Runtimes {
  private inForce: { readonly defaultName: string; readonly named: ReadonlyMap<string, string> };
  private readonly known = new Map<string, Facts>();
  private readonly version: string;

  /** Throws as `configure`. */
  constructor(version: string, options: RuntimeOptions = {}) {
    this.version = version;
    this.inForce = { defaultName: BUILT_IN, named: new Map() };
    this.configure(options);
  }

  get defaultName(): string {
    return this.inForce.defaultName;
  }

  private get named(): ReadonlyMap<string, string> {
    return this.inForce.named;
  }

  /** Other runtimes from now on. Throws OnggiError `runtime_not_found`, also for a default that is not there; nothing changes then. */
  configure({ named = {}, defaultName = BUILT_IN }: RuntimeOptions): void {
    const former = this.inForce;
    if (BUILT_IN in named) throw notFound(BUILT_IN, "this name is the built-in runtime's; give yours another");
    for (const [name, path] of Object.entries(named)) checkProgram(name, path);
    this.inForce = { defaultName, named: new Map(Object.entries(named)) };
    try {
      this.find(defaultName);
    } catch (error) {
      this.inForce = former;
      throw error;
    }
  }

  /** By name, or by absolute path; null: the built-in one. Throws OnggiError `runtime_not_found`. */
  find(name = this.defaultName): ForeignRuntime | null {
    if (name === BUILT_IN) return null;
    if (name.startsWith("/")) {
      checkProgram(name, name);
      return { name, path: name };
    }
    const path = this.named.get(name) ?? (usual.includes(name) ? inPath(name) : undefined);
    if (path === undefined) {
      const there = [BUILT_IN, ...this.all().map((runtime) => runtime.name)].join(", ");
      throw notFound(name, `known are ${there}; name others with onggi engine start --runtime NAME=PATH, or give a path`);
    }
    return { name, path };
  }

  async list(): Promise<RuntimeInfo[]> {
    const own = { name: BUILT_IN, path: "", version: this.version, oci: SPEC_MAX, features: ownFeatures, problem: "" };
    const others = this.all().map(async (runtime) => ({ ...runtime, ...(await this.learn(runtime)) }));
    const found = [own, ...(await Promise.all(others))];
    return found.map((runtime) => ({ ...runtime, features: [...runtime.features], default: runtime.name === this.defaultName }));
  }

  /** Asks a runtime about itself, once for each file that has been at its path. */
  async learn({ path }: ForeignRuntime): Promise<Facts> {
    const key = keyOf(path);
    let facts = this.known.get(key);
    if (!facts) {
      facts = await ask(path);
      if (facts.problem === "") this.known.set(key, facts);
    }
    return facts;
  }

  /** Whether a runtime that has been asked can id-map bind mounts. */
  idmaps({ path }: ForeignRuntime): boolean {
    return this.known.get(keyOf(path))?.features.includes("idmap") ?? false;
  }

  private all(): ForeignRuntime[] {
    const found = new Map<string, string>();
    for (const name of usual) {
      const path = inPath(name);
      if (path !== undefined) found.set(name, path);
    }
    for (const [name, path] of this.named) found.set(name, path);
    return [...found].map(([name, path]) => ({ name, path }));
  }
}

const notFound = (name: string, why: string) => new OnggiError("runtime_not_found", `no runtime ${name}: ${why}`);

function checkProgram(name: string, path: string): void {
  const where = name === path ? "" : `${path}: `;
  if (!path.startsWith("/")) throw notFound(name, `${where}an absolute path is needed`);
  try {
    if (!statSync(path).isFile()) throw notFound(name, `${where}not a file`);
    accessSync(path, constants.X_OK);
  } catch (error) {
    if (error instanceof OnggiError) throw error;
    throw notFound(name, `${where}${isErrno(error, "ENOENT", "ENOTDIR") ? "no such file" : "not executable"}`);
  }
}

/** onggi-runtime is looked for beside this program first, where it is installed. */
function inPath(name: string): string | undefined {
  const path = process.env.PATH || "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const beside = name === "onggi-runtime" ? [dirname(process.execPath)] : [];
  for (const directory of [...beside, ...path.split(":")]) {
    if (!directory.startsWith("/")) continue;
    const candidate = join(directory, name);
    try {
      checkProgram(name, candidate);
      return candidate;
    } catch {
      // not here
    }
  }
  return undefined;
}

function keyOf(path: string): string {
  const status = statSync(path, { throwIfNoEntry: false });
  return `${path}\n${status?.ino}\n${status?.mtimeMs}`;
}

const ownFeatures = ["apparmor", "cgroup-v1", "cgroup-v2", "idmap", "seccomp", "selinux"];

async function ask(path: string): Promise<Facts> {
  const [version, features] = await Promise.all([output(path, "--version"), output(path, "features")]);
  const [, number = "", oci = ""] = /^\S+ version (\S+)[\s\S]*?^spec: (\S+)/m.exec(version.text) ?? [];
  const problem = number !== "" ? "" : version.problem || "it does not tell its version as an OCI runtime does";
  return { version: number, oci, features: featuresOf(features.text) ?? builtWith(version.text), problem };
}

async function output(path: string, argument: string): Promise<{ text: string; problem: string }> {
  try {
    const child = Bun.spawn([path, argument], { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "ignore", timeout: PROBE_MS });
    const [text, code] = await Promise.all([child.stdout.text(), child.exited]);
    return code === 0 ? { text, problem: "" } : { text: "", problem: `"${path} ${argument}" ended with ${code}` };
  } catch (error) {
    return { text: "", problem: String(error) };
  }
}

interface Features {
  readonly linux?: {
    readonly cgroup?: Readonly<Record<string, boolean>>;
    readonly mountExtensions?: { readonly idmap?: { readonly enabled?: boolean } };
  } & Readonly<Record<string, { readonly enabled?: boolean } | undefined>>;
}

/** The interesting ones of runtime-spec's features.md, sorted; undefined: this is no such structure. */
function featuresOf(text: string): string[] | undefined {
  let linux: Features["linux"];
  try {
    linux = (JSON.parse(text) as Features).linux;
  } catch {
    return undefined;
  }
  if (!linux) return undefined;
  const { cgroup = {}, mountExtensions } = linux;
  const found = ["seccomp", "apparmor", "selinux", "intelRdt", "netDevices"].filter((name) => linux[name]?.enabled === true);
  for (const name of ["v1", "v2", "systemd", "rdma"]) if (cgroup[name]) found.push(`cgroup-${name}`);
  if (mountExtensions?.idmap?.enabled) found.push("idmap");
  return found.sort();
}

/** crun's line "+SYSTEMD +SELINUX -CRIU". */
const builtWith = (version: string): string[] =>
  [...version.matchAll(/(?:^|\s)\+([A-Z]+)/g)].map(([, name = ""]) => name.toLowerCase()).sort();
