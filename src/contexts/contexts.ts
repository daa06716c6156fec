/**
 * Contexts: names for engines elsewhere, one file each, below `$ONGGI_CONFIG_DIR`, else `$XDG_CONFIG_HOME/onggi`, else
 * `~/.config/onggi`:
 *
 *     contexts/NAME.json    as Docker has a context's meta.json
 *     config.json           {"currentContext": "NAME"}
 *
 * "default" is the engine of this host, and no file. Source of names and fields: docker-context(1). Here they are read, for the command
 * line, which also writes them, and for the SDK.
 */

import { type Endpoint, LOCAL, parseEndpoint } from "../api/control/endpoint.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";

export type Env = Readonly<Record<string, string | undefined>>;

export const DEFAULT = "default";

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

export const invalid = (message: string): OnggiError => new OnggiError("contexts_invalid", message);

export const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;

export const metaOf = (name: string, host: string, description: string): Meta => ({
  Name: name,
  Metadata: description === "" ? {} : { Description: description },
  Endpoints: { docker: { Host: host, SkipTLSVerify: false } },
});

/** Reads a meta.json. Throws `contexts_invalid` and `invalid_endpoint`, with `from` in their words. */
export function parseMeta(text: string, from: string): Meta {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(`${from} is not JSON: ${messageOf(error)}`);
  }
  const { Name, Metadata, Endpoints } = (value ?? {}) as { Name?: unknown; Metadata?: unknown; Endpoints?: unknown };
  const host = (Endpoints as { docker?: { Host?: unknown } } | undefined)?.docker?.Host;
  const description = (Metadata as { Description?: unknown } | undefined)?.Description ?? "";
  if (typeof Name !== "string" || typeof host !== "string" || typeof description !== "string")
    throw invalid(`${from} is no context: it has not Name and Endpoints.docker.Host`);
  try {
    parseEndpoint(host);
  } catch (error) {
    throw new OnggiError("invalid_endpoint", `${from}: ${messageOf(error)}`);
  }
  return metaOf(Name, host, description);
}

/** The text of a file; null or ENOENT where there is none. */
export type ReadText = (path: string) => string | null;

export class Contexts {
  /** Undefined where the environment names no home. */
  protected readonly directory: string | undefined;
  readonly #read: ReadText;

  constructor({ ONGGI_CONFIG_DIR, XDG_CONFIG_HOME, HOME }: Env, read: ReadText) {
    const base = XDG_CONFIG_HOME || (HOME ? `${HOME}/.config` : undefined);
    this.directory = ONGGI_CONFIG_DIR || (base === undefined ? undefined : `${base}/onggi`);
    this.#read = read;
  }

  /** What `onggi context use` has chosen. Throws `contexts_invalid`. */
  get current(): string {
    const text = this.directory === undefined ? null : this.textOf(this.configPath);
    if (text === null) return DEFAULT;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw invalid(`${this.configPath} is not JSON: ${messageOf(error)}; mend it or remove it`);
    }
    const { currentContext } = (value ?? {}) as { currentContext?: unknown };
    return typeof currentContext === "string" && currentContext !== "" ? currentContext : DEFAULT;
  }

  /** Throws ContextNotFound, `contexts_invalid`, `invalid_endpoint`. */
  get(name: string): Meta {
    const text = NAME.test(name) && this.directory !== undefined ? this.textOf(this.pathOf(name)) : null;
    if (text === null) throw new ContextNotFound(name);
    return parseMeta(text, this.pathOf(name));
  }

  /** Throws `contexts_invalid` where the environment names no home. */
  pathOf(name: string): string {
    return `${this.#place}/contexts/${name}.json`;
  }

  protected get configPath(): string {
    return `${this.#place}/config.json`;
  }

  /** Null where there is no such file, or nothing in it. */
  protected textOf(path: string): string | null {
    try {
      return this.#read(path) || null;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return null;
      throw invalid(`${path} cannot be read: ${messageOf(error)}`);
    }
  }

  get #place(): string {
    if (this.directory === undefined) throw invalid("contexts have no place: neither ONGGI_CONFIG_DIR nor HOME is set");
    return this.directory;
  }
}

/** What says which engine is meant: flags, or a program's options. `context` beside `host`, or `root` and `run` beside either, is refused before. */
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
 * Which engine is meant: by what was asked for; then by ONGGI_HOST, ONGGI_CONTEXT, ONGGI_ROOT and ONGGI_RUN; then by `context use`.
 * Throws ContextNotFound, `contexts_invalid`, `invalid_endpoint`.
 */
export function selectEngine({ host, context, root, run }: Asked, env: Env, read: ReadText): Selected {
  const named = (name: string): Selected => ({
    context: name,
    endpoint: name === DEFAULT ? LOCAL : parseEndpoint(new Contexts(env, read).get(name).Endpoints.docker.Host),
  });
  const at = (address: string): Selected => ({ context: DEFAULT, endpoint: parseEndpoint(address) });
  if (host !== undefined) return at(host);
  if (context !== undefined) return named(context);
  if (root !== undefined || run !== undefined) return named(DEFAULT);
  if (env.ONGGI_HOST) return at(env.ONGGI_HOST);
  if (env.ONGGI_CONTEXT) return named(env.ONGGI_CONTEXT);
  if (env.ONGGI_ROOT || env.ONGGI_RUN) return named(DEFAULT);
  return named(new Contexts(env, read).current);
}
