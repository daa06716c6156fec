/**
 * Contexts: names for engines elsewhere, one file each, below `$ONGGI_CONFIG_DIR`, else `$XDG_CONFIG_HOME/onggi`, else
 * `~/.config/onggi`:
 *
 *     contexts/NAME.json    as Docker has a context's meta.json
 *     config.json           {"currentContext": "NAME"}
 *
 * "default" is the engine of this host, and no file. Source of names, fields and messages: docker-context(1).
 */

import { type Endpoint, LOCAL, parseEndpoint } from "../api/control/endpoint.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { UsageError } from "./errors.ts";

type Env = Readonly<Record<string, string | undefined>>;

export const DEFAULT = "default";

/** To load it takes 1.5 ms, which a command for the engine of this host does without. */
const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** One context, as it is kept. */
export interface Meta {
  readonly Name: string;
  readonly Metadata: { readonly Description?: string };
  readonly Endpoints: { readonly docker: { readonly Host: string; readonly SkipTLSVerify: boolean } };
}

export class ContextNotFound extends OnggiError {
  constructor(name: string) {
    super("context_not_found", `context ${JSON.stringify(name)}: not found; see onggi context ls`);
  }
}

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;

/** Throws UsageError for what no context can be called. */
export function checkName(name: string): void {
  if (name === DEFAULT) throw new UsageError('"default" is a reserved context name');
  if (!NAME.test(name) || name.length > 200)
    throw new UsageError(`context name ${JSON.stringify(name)} is invalid, names are validated against regexp "${NAME.source}"`);
}

export const metaOf = (name: string, host: string, description: string): Meta => ({
  Name: name,
  Metadata: description === "" ? {} : { Description: description },
  Endpoints: { docker: { Host: host, SkipTLSVerify: false } },
});

/** Reads a meta.json. Throws UsageError, with `from` in its words. */
export function parseMeta(text: string, from: string): Meta {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${from} is not JSON: ${messageOf(error)}`);
  }
  const { Name, Metadata, Endpoints } = (value ?? {}) as { Name?: unknown; Metadata?: unknown; Endpoints?: unknown };
  const host = (Endpoints as { docker?: { Host?: unknown } } | undefined)?.docker?.Host;
  const description = (Metadata as { Description?: unknown } | undefined)?.Description ?? "";
  if (typeof Name !== "string" || typeof host !== "string" || typeof description !== "string")
    throw new UsageError(`${from} is no context: it has not Name and Endpoints.docker.Host`);
  parseEndpoint(host);
  return metaOf(Name, host, description);
}

export class ContextStore {
  readonly #directory: string | undefined;

  constructor({ ONGGI_CONFIG_DIR, XDG_CONFIG_HOME, HOME }: Env) {
    const base = XDG_CONFIG_HOME || (HOME ? `${HOME}/.config` : undefined);
    this.#directory = ONGGI_CONFIG_DIR || (base === undefined ? undefined : `${base}/onggi`);
  }

  /** What `onggi context use` has chosen. Throws `contexts_invalid`. */
  get current(): string {
    const text = this.#directory === undefined ? null : readText(this.#configPath);
    if (text === null) return DEFAULT;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new OnggiError("contexts_invalid", `${this.#configPath} is not JSON: ${messageOf(error)}; mend it or remove it`);
    }
    const { currentContext } = (value ?? {}) as { currentContext?: unknown };
    return typeof currentContext === "string" && currentContext !== "" ? currentContext : DEFAULT;
  }

  use(name: string): void {
    if (name !== DEFAULT) this.get(name);
    writeWhole(this.#configPath, { currentContext: name === DEFAULT ? "" : name });
  }

  /** In order, without "default". */
  names(): string[] {
    let files: string[] = [];
    try {
      files = this.#directory === undefined ? [] : fs().readdirSync(`${this.#directory}/contexts`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    const names = files.map((file) => /^(.+)\.json$/.exec(file)?.[1]);
    return names.filter((name) => name !== undefined && NAME.test(name)).sort() as string[];
  }

  /** Throws ContextNotFound, UsageError. */
  get(name: string): Meta {
    const text = NAME.test(name) && this.#directory !== undefined ? readText(this.pathOf(name)) : null;
    if (text === null) throw new ContextNotFound(name);
    return parseMeta(text, this.pathOf(name));
  }

  has(name: string): boolean {
    return readText(this.pathOf(name)) !== null;
  }

  /** Throws UsageError where there is one of that name. */
  create(meta: Meta): void {
    checkName(meta.Name);
    if (this.has(meta.Name)) throw new UsageError(`context ${JSON.stringify(meta.Name)} already exists`);
    this.write(meta);
  }

  write(meta: Meta): void {
    writeWhole(this.pathOf(meta.Name), meta);
  }

  remove(name: string): void {
    this.get(name);
    fs().rmSync(this.pathOf(name));
  }

  /** Throws `contexts_invalid` where the environment names no home. */
  pathOf(name: string): string {
    return `${this.#place}/contexts/${name}.json`;
  }

  get #configPath(): string {
    return `${this.#place}/config.json`;
  }

  get #place(): string {
    if (this.#directory === undefined)
      throw new OnggiError("contexts_invalid", "contexts have no place: neither ONGGI_CONFIG_DIR nor HOME is set");
    return this.#directory;
  }
}

/** Null where there is no such file, or nothing in it. */
function readText(path: string): string | null {
  if (Bun.file(path).size === 0) return null;
  try {
    return fs().readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return null;
    throw new OnggiError("contexts_invalid", `${path} cannot be read: ${messageOf(error)}`);
  }
}

function writeWhole(path: string, value: object): void {
  const { mkdirSync, renameSync, rmSync, writeFileSync } = fs();
  const beside = `${path}.${process.pid}`;
  try {
    mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true, mode: 0o700 });
    writeFileSync(beside, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600, flush: true });
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new OnggiError("contexts_not_saved", `${path} cannot be written: ${messageOf(error)}`);
  }
}

/** What says which engine is meant, on the command line. */
export interface Asked {
  readonly host?: string | undefined;
  readonly context?: string | undefined;
  readonly root?: string | undefined;
  readonly run?: string | undefined;
}

/** An engine, and the context it is of: "default" for one that was named otherwise. */
export interface Selected {
  readonly context: string;
  readonly endpoint: Endpoint;
}

/**
 * Which engine is meant: by `--host`, by `--context`, by `--root` and `--run`; then by ONGGI_HOST, ONGGI_CONTEXT, ONGGI_ROOT and
 * ONGGI_RUN; then by `context use`. Throws UsageError, ContextNotFound, `invalid_endpoint`.
 */
export function selectEngine(asked: Asked, env: Env): Selected {
  const own = asked.root !== undefined || asked.run !== undefined;
  if (asked.host !== undefined && asked.context !== undefined)
    throw new UsageError("conflicting options: cannot specify both --host and --context");
  if (own && (asked.host !== undefined || (asked.context ?? DEFAULT) !== DEFAULT))
    throw new UsageError("--root and --run are of an engine of this host: leave them out with --host and --context");
  if (asked.host !== undefined) return { context: DEFAULT, endpoint: parseEndpoint(asked.host) };
  if (asked.context !== undefined) return ofContext(asked.context, env);
  if (own) return { context: DEFAULT, endpoint: LOCAL };
  if (env.ONGGI_HOST) return { context: DEFAULT, endpoint: parseEndpoint(env.ONGGI_HOST) };
  if (env.ONGGI_CONTEXT) return ofContext(env.ONGGI_CONTEXT, env);
  if (env.ONGGI_ROOT || env.ONGGI_RUN) return { context: DEFAULT, endpoint: LOCAL };
  return ofContext(new ContextStore(env).current, env);
}

const ofContext = (name: string, env: Env): Selected => ({
  context: name,
  endpoint: name === DEFAULT ? LOCAL : parseEndpoint(new ContextStore(env).get(name).Endpoints.docker.Host),
});
