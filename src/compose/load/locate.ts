import { basename, dirname, join, resolve } from "node:path";
import { OnggiError } from "../../lib/errors.ts";
import { readEnvFiles } from "./environment.ts";
import type { FileSource } from "./files.ts";

/** What tells where a project is: flags, as the user gave them, and the caller's variables. */
export interface Wanted {
  files?: readonly string[];
  projectDirectory?: string;
  envFiles?: readonly string[];
  cwd: string;
  environment: Readonly<Record<string, string | undefined>>;
}

export interface Located {
  /** Absolute, in their order; "-" is the standard input. Empty: none were named and none found. */
  files: string[];
  /** Absolute. */
  directory: string;
  /** The caller's variables, then those of env files. */
  environment: Map<string, string>;
}

/** In the order in which they are looked for; the first that is there counts. */
const NAMES = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES = [
  "compose.override.yml",
  "compose.override.yaml",
  "docker-compose.override.yml",
  "docker-compose.override.yaml",
];

/**
 * The project's files, directory and variables: -f, then COMPOSE_FILE, then the names above, in the working directory or the nearest
 * one above it that has one. Variables are the caller's, then those of --env-file or COMPOSE_ENV_FILES, or of .env of the working
 * directory and of the project's. Throws OnggiError for files that are named but not there.
 */
export async function locate(wanted: Wanted, source: FileSource, warn: (message: string) => void): Promise<Located> {
  const { cwd } = wanted;
  const caller = new Map(Object.entries(wanted.environment).filter((entry): entry is [string, string] => entry[1] !== undefined));
  let files = (wanted.files ?? []).map((file) => absolute(cwd, file));
  const given =
    wanted.projectDirectory === undefined || wanted.projectDirectory === "" ? undefined : resolve(cwd, wanted.projectDirectory);
  const directoryOf = (): string => {
    const file = files.find((each) => each !== "-");
    return given ?? (file === undefined ? cwd : dirname(file));
  };
  const envFiles = wantedEnvFiles(wanted, caller);
  const environment = new Map(caller);
  await addEnvFiles(environment, envFiles, directoryOf(), caller, source);
  if (files.length === 0) {
    const named = environment.get("COMPOSE_FILE");
    const separator = environment.get("COMPOSE_PATH_SEPARATOR") || ":";
    files =
      named === undefined || named === ""
        ? await search(given ?? cwd, source, warn)
        : named.split(separator).map((file) => absolute(cwd, file));
  }
  const directory = directoryOf();
  await addEnvFiles(environment, envFiles, directory, caller, source);
  return { files, directory, environment };
}

const absolute = (cwd: string, file: string): string => (file === "-" ? file : resolve(cwd, file));

/** Undefined: whatever .env there is. */
function wantedEnvFiles({ envFiles, cwd }: Wanted, caller: ReadonlyMap<string, string>): string[] | undefined {
  const named =
    envFiles !== undefined && envFiles.length > 0 ? envFiles : caller.get("COMPOSE_ENV_FILES")?.split(",").filter(Boolean);
  if (named !== undefined && named.length > 0) return named.map((file) => resolve(cwd, file));
  return /^(1|t|true)$/i.test(caller.get("COMPOSE_DISABLE_ENV_FILE") ?? "") ? [] : undefined;
}

/** What is known already stays. */
async function addEnvFiles(
  environment: Map<string, string>,
  named: readonly string[] | undefined,
  directory: string,
  caller: ReadonlyMap<string, string>,
  source: FileSource,
): Promise<void> {
  const own = join(directory, ".env");
  const paths = named ?? ((await source.exists(own)) ? [own] : []);
  for (const [name, value] of await readEnvFiles(paths, caller, source)) if (!environment.has(name)) environment.set(name, value);
}

async function search(start: string, source: FileSource, warn: (message: string) => void): Promise<string[]> {
  for (let directory = start; ; directory = dirname(directory)) {
    const found = await present(NAMES, directory, source);
    if (found.length > 0) {
      const overrides = await present(OVERRIDES, directory, source);
      for (const [names, what] of [
        [found, "config"],
        [overrides, "override"],
      ] as const) {
        if (names.length < 2) continue;
        warn(`Found multiple ${what} files with supported names: ${names.join(", ")}`);
        warn(`Using ${names[0]}`);
      }
      return [found[0]!, ...overrides.slice(0, 1)];
    }
    if (directory === dirname(directory)) return [];
  }
}

async function present(names: readonly string[], directory: string, source: FileSource): Promise<string[]> {
  const found: string[] = [];
  for (const name of names) if (await source.exists(join(directory, name))) found.push(join(directory, name));
  return found;
}

/** Lower case, letters, digits, "-" and "_", and a letter or digit first: what is left of a name. */
export const normalizedName = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[-_]+/, "");

/**
 * The project's name: of -p, of COMPOSE_PROJECT_NAME, of the files' `name`, or of the directory. Throws OnggiError
 * `invalid_project_name`.
 */
export function projectName(given: string | undefined, located: Located, ofFiles: string | undefined): string {
  const imperative = given || located.environment.get("COMPOSE_PROJECT_NAME");
  if (imperative) {
    if (imperative === normalizedName(imperative)) return imperative;
    throw new OnggiError(
      "invalid_project_name",
      `invalid project name "${imperative}": must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number`,
    );
  }
  const name = normalizedName(ofFiles ?? basename(located.directory));
  if (name !== "") return name;
  throw new OnggiError(
    "invalid_project_name",
    `project name must not be empty: ${JSON.stringify(ofFiles ?? located.directory)} has nothing to make one of; give one with -p, or with "name:" in the file`,
  );
}
