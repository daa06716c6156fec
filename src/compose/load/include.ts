import { dirname, isAbsolute, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { isRemote } from "./canonical.ts";
import { readEnvFiles } from "./environment.ts";
import type { Loading, Scope } from "./layer.ts";
import { get, isMap, isScalar, isText, type MapNode, map, type Node, withEntry } from "./node.ts";
import { Problems, shownFile } from "./problems.ts";

/** How a set of files is loaded. */
export type Load = (paths: readonly string[], scope: Scope, loading: Loading) => Promise<MapNode>;

/**
 * A file with all that it includes (14-include.md): each is a project of its own, with its directory and variables, whose parts
 * become parts of this one. Throws ComposeFileError.
 */
export async function withIncludes(
  file: MapNode,
  include: Node | undefined,
  path: string,
  scope: Scope,
  loading: Loading,
  load: Load,
): Promise<MapNode> {
  let result = file;
  for (const item of include?.kind === "list" ? include.items : []) {
    result = withParts(result, await included(readInclude(item), path, scope, loading, load), loading);
  }
  return result;
}

interface Include {
  paths: string[];
  directory: string | undefined;
  envFiles: string[] | undefined;
  node: Node;
}

const texts = (node: Node | undefined): string[] =>
  node === undefined
    ? []
    : node.kind === "list"
      ? node.items.flatMap(texts)
      : isScalar(node) && node.text !== ""
        ? [node.text]
        : [];

/** The schema has seen it. */
const readInclude = (node: Node): Include =>
  isText(node)
    ? { paths: [node.value], directory: undefined, envFiles: undefined, node }
    : {
        paths: texts(get(node, "path")),
        directory: texts(get(node, "project_directory"))[0],
        envFiles: get(node, "env_file") === undefined ? undefined : texts(get(node, "env_file")),
        node,
      };

const below = (directory: string, path: string): string => (isAbsolute(path) ? path : join(directory, path));

async function included(include: Include, path: string, scope: Scope, loading: Loading, load: Load): Promise<MapNode> {
  const problems = new Problems(loading.cwd);
  const refuse = (message: string): void => problems.add(include.node.at, ["include"], message);
  const paths = include.paths.map((each) => below(scope.directory, each));
  const [first] = paths;
  const including = [...scope.including, path];
  const remote = include.paths.find(isRemote);
  if (first === undefined) refuse(`needs "path"`);
  else if (remote !== undefined) refuse(`${remote} is not of this machine; only files are included`);
  else if (including.includes(first)) {
    const cycle = [...including.slice(including.indexOf(first)), first].map((each) => shownFile(each, loading.cwd));
    refuse(`include cycle detected: ${cycle.join(" includes ")}`);
  } else for (const each of paths) if (!(await loading.source.exists(each))) refuse(`there is no file ${each}`);
  problems.throwIfAny();
  const directory = include.directory === undefined ? dirname(first!) : below(scope.directory, include.directory);
  const environment = await includedEnvironment(include, directory, scope, loading);
  return load(paths, { directory, environment, including }, loading);
}

/** The including project's variables stand above those of the files that come with the included one. */
async function includedEnvironment(
  include: Include,
  directory: string,
  scope: Scope,
  loading: Loading,
): Promise<Map<string, string>> {
  const own = join(directory, ".env");
  const found = include.envFiles === undefined ? ((await loading.source.exists(own)) ? [own] : []) : include.envFiles;
  const paths = found.filter((path) => path !== "/dev/null").map((path) => below(scope.directory, path));
  const read = await readEnvFiles(paths, scope.environment, loading.source);
  return new Map([...read, ...scope.environment]);
}

const SHARED = ["services", "volumes", "networks", "secrets", "configs", "models"];

/** The file with what an included project has. Two that say the same are one; two that do not are refused. */
function withParts(file: MapNode, included: MapNode, loading: Loading): MapNode {
  const problems = new Problems(loading.cwd);
  let result = file;
  for (const section of SHARED) {
    const theirs = get(included, section);
    if (!isMap(theirs)) continue;
    const ours = get(result, section);
    const entries = new Map(isMap(ours) ? ours.entries : []);
    for (const [name, entry] of theirs.entries) {
      const same = entries.get(name);
      if (same !== undefined && !isDeepStrictEqual(bare(same.value), bare(entry.value))) {
        const where = `${shownFile(entry.at.file, loading.cwd)}:${entry.at.line}`;
        problems.add(
          same.at,
          [section, name],
          `conflicts with imported resource: ${where}, which is included, says otherwise; rename one of them`,
        );
      }
      entries.set(name, same ?? entry);
    }
    result = withEntry(result, section, { ...(isMap(ours) ? ours : map([], theirs.at)), entries });
  }
  problems.throwIfAny();
  return result;
}

/** Without positions. */
const bare = (node: Node): unknown =>
  node.kind === "map"
    ? new Map([...node.entries].map(([key, { value }]) => [key, bare(value)]))
    : node.kind === "list"
      ? node.items.map(bare)
      : node.value;
