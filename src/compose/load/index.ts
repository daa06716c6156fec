/**
 * Loading: compose files become a `Project` (../project.ts).
 *
 * Each file goes the same way: text, nodes with positions (yaml.ts), variables filled in (interpolate.ts), checked against the
 * specification's schema (schema.ts), short forms written out and paths made absolute (canonical.ts), what it includes and extends
 * put below (include.ts, extends.ts), merged over the files before it (merge.ts). The model that comes of all files is read into
 * values (assemble.ts), profiles are applied (profiles.ts), parts checked against each other (check.ts), env files read.
 *
 * Guarantees: files are only read; a file that is wrong is told with all that is wrong with it, each with its line; what a file says
 * cannot take more than the bounds of yaml.ts, nor reach JavaScript's prototypes.
 *
 *     const project = await loadProject({ cwd: "/app", environment: process.env, services: ["web"] });
 */

import { OnggiError } from "../../lib/errors.ts";
import type { Project, Service } from "../project.ts";
import { assemble } from "./assemble.ts";
import { check } from "./check.ts";
import { readEnvFile } from "./environment.ts";
import { diskFiles, type FileSource, YamlFiles } from "./files.ts";
import { substitute } from "./interpolate.ts";
import type { Loading } from "./layer.ts";
import { type Located, locate, projectName, type Wanted } from "./locate.ts";
import { loadModel } from "./model.ts";
import { get, isText, type MapNode, positionOf } from "./node.ts";
import { Problems } from "./problems.ts";
import { withProfiles } from "./profiles.ts";
import { record } from "./shape.ts";

export { ComposeFileError } from "./problems.ts";
export { selectServices, withoutUnused } from "./profiles.ts";

export interface LoadOptions extends Wanted {
  /** -p. */
  projectName?: string;
  /** --profile; none: COMPOSE_PROFILES. */
  profiles?: readonly string[];
  /** Services named on the command line: their profiles are enabled. */
  services?: readonly string[];
  /** Told of what is odd but no error, each once. */
  warn?(message: string): void;
  /** Absent: the disk. */
  source?: FileSource;
  /** What "-f -" reads; absent: this process's standard input. */
  stdin?(): ReadableStream<Uint8Array>;
  /** What is false is left out: variables, implied parts, checks of parts against each other, absolute paths, env files. */
  interpolate?: boolean;
  normalize?: boolean;
  consistency?: boolean;
  resolvePaths?: boolean;
  resolveEnvironment?: boolean;
}

/** Files merged into one, before they become a project. */
export interface Model {
  node: MapNode;
  name: string;
  located: Located;
  loading: Loading;
}

/**
 * The project that the options name. Throws ComposeFileError (`invalid_compose_file`), and OnggiError `no_compose_file`,
 * `file_not_found`, `empty_compose_file`, `file_too_large`, `not_a_file`, `env_file_not_found`, `invalid_env_file`,
 * `invalid_project_name`, `no_such_service`.
 */
export async function loadProject(options: LoadOptions): Promise<Project> {
  const { node, name, located, loading } = await loadProjectModel(options);
  const problems = new Problems(options.cwd);
  const context = {
    name,
    directory: located.directory,
    files: located.files,
    environment: located.environment,
    normalize: options.normalize !== false,
  };
  const whole = assemble(node, context, problems);
  problems.throwIfAny();
  const project = withProfiles(whole, wantedProfiles(options, located), options.services ?? []);
  if (options.consistency !== false) check(project, node, problems);
  problems.throwIfAny();
  if (options.resolveEnvironment === false) return project;
  for (const service of Object.values(project.services)) await readServiceFiles(service, project, node, loading);
  return project;
}

/** The files that the options name, merged; `config --no-interpolate` prints it. Throws as `loadProject`. */
export async function loadProjectModel(options: LoadOptions): Promise<Model> {
  const source = options.source ?? diskFiles(options.stdin ?? (() => Bun.stdin.stream()));
  const warned = new Set<string>();
  const warn = (message: string): void => {
    if (!warned.has(message)) options.warn?.(message);
    warned.add(message);
  };
  const located = await locate(options, source, warn);
  if (located.files.length === 0) {
    throw new OnggiError(
      "no_compose_file",
      `no configuration file provided: not found: there is no compose.yaml in ${located.directory} or above it; write one, or name one with -f`,
    );
  }
  const files = new YamlFiles(source, options.cwd);
  const name = projectName(options.projectName, located, await nameInFiles(located, files, options.interpolate !== false));
  located.environment.set("COMPOSE_PROJECT_NAME", name);
  const loading: Loading = {
    source,
    files,
    cwd: options.cwd,
    home: options.environment.HOME,
    interpolate: options.interpolate !== false,
    resolvePaths: options.resolvePaths !== false,
    warn,
  };
  const node = await loadModel(
    located.files,
    { directory: located.directory, environment: located.environment, including: [] },
    loading,
  );
  return { node, name, located, loading };
}

/** What the last file that has "name:" says. */
async function nameInFiles(located: Located, files: YamlFiles, filled: boolean): Promise<string | undefined> {
  let name: string | undefined;
  for (const path of located.files) {
    for (const document of await files.documents(path)) {
      const node = get(document, "name");
      if (isText(node) && node.value !== "") name = node.value;
    }
  }
  if (name === undefined || !filled) return name;
  try {
    return substitute(name, (variable) => located.environment.get(variable));
  } catch {
    // told, with its place, when the file itself is read
    return name;
  }
}

function wantedProfiles(options: LoadOptions, { environment }: Located): string[] {
  if (options.profiles !== undefined && options.profiles.length > 0) return [...options.profiles];
  return (environment.get("COMPOSE_PROFILES") ?? "")
    .split(",")
    .map((profile) => profile.trim())
    .filter(Boolean);
}

/** Reads a service's env_file and label_file into its environment and labels, which stand above them. */
async function readServiceFiles(service: Service, project: Project, model: MapNode, { source, cwd }: Loading): Promise<void> {
  const problems = new Problems(cwd);
  const { env_file = [], label_file = [] } = service;
  const missing = (key: string, index: number, words: string): void => {
    const path = ["services", service.name, key, index];
    problems.add(positionOf(model, path), path, words);
  };
  const own = service.environment ?? {};
  const found = new Map<string, string>();
  const lookup = (name: string): string | undefined => project.environment[name] ?? own[name] ?? undefined;
  for (const [index, file] of env_file.entries()) {
    if (file.format !== undefined && file.format !== "raw")
      missing("env_file", index, `unsupported env_file format "${file.format}"; there is "raw"`);
    else if (!(await readEnvFile(file.path, found, lookup, source, file.format)) && file.required) {
      missing("env_file", index, `env file ${file.path} not found; write it, or say "required: false"`);
    }
  }
  if (found.size > 0) service.environment = record([...found, ...Object.entries(own)]);
  const labels = new Map<string, string>();
  for (const [index, path] of label_file.entries()) {
    if (!(await readEnvFile(path, labels, () => undefined, source))) missing("label_file", index, `label file ${path} not found`);
  }
  if (labels.size > 0) service.labels = record([...labels, ...Object.entries(service.labels ?? {})]);
  problems.throwIfAny();
  delete service.env_file;
}
