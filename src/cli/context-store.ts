/** Contexts, as `src/contexts` has them, and what changes them. Source of messages: docker-context(1). */

import {
  type Asked,
  Contexts,
  DEFAULT,
  type Env,
  type Meta,
  NAME,
  type Selected,
  selectEngine as select,
} from "../contexts/contexts.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { UsageError } from "./errors.ts";

/** To load it takes 1.5 ms, which a command for the engine of this host does without. */
const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

const readText = (path: string): string | null => (Bun.file(path).size === 0 ? null : fs().readFileSync(path, "utf8"));

/** Throws UsageError for what no context can be called. */
export function checkName(name: string): void {
  if (name === DEFAULT) throw new UsageError('"default" is a reserved context name');
  if (!NAME.test(name) || name.length > 200)
    throw new UsageError(`context name ${JSON.stringify(name)} is invalid, names are validated against regexp "${NAME.source}"`);
}

export class ContextStore extends Contexts {
  constructor(env: Env) {
    super(env, readText);
  }

  use(name: string): void {
    if (name !== DEFAULT) this.get(name);
    writeWhole(this.configPath, { currentContext: name === DEFAULT ? "" : name });
  }

  /** In order, without "default". */
  names(): string[] {
    let files: string[] = [];
    try {
      files = this.directory === undefined ? [] : fs().readdirSync(`${this.directory}/contexts`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
    const names = files.map((file) => /^(.+)\.json$/.exec(file)?.[1]);
    return names.filter((name) => name !== undefined && NAME.test(name)).sort() as string[];
  }

  has(name: string): boolean {
    return this.textOf(this.pathOf(name)) !== null;
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

/** Which engine the flags mean, else the environment, else `context use`. Throws UsageError, and what `select` throws. */
export function selectEngine(asked: Asked, env: Env): Selected {
  if (asked.host !== undefined && asked.context !== undefined)
    throw new UsageError("conflicting options: cannot specify both --host and --context");
  const own = asked.root !== undefined || asked.run !== undefined;
  if (own && (asked.host !== undefined || (asked.context ?? DEFAULT) !== DEFAULT))
    throw new UsageError("--root and --run are of an engine of this host: leave them out with --host and --context");
  return select(asked, env, readText);
}
