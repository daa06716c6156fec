import { type CanonicalContext, canonical } from "./canonical.ts";
import type { FileSource, YamlFiles } from "./files.ts";
import { interpolate } from "./interpolate.ts";
import { withoutTags } from "./merge.ts";
import { isMap, type MapNode, type Node, type Path, withEntry } from "./node.ts";
import { Problems } from "./problems.ts";
import { checkSchema } from "./schema.ts";

/** What a load is done with; the same for every file of it. */
export interface Loading {
  source: FileSource;
  files: YamlFiles;
  /** Problems name files relative to it. */
  cwd: string;
  home: string | undefined;
  interpolate: boolean;
  resolvePaths: boolean;
  warn(message: string): void;
}

/** What a set of files is read with: the project's own, or those of an include. */
export interface Scope {
  /** Relative paths are relative to it. Absolute. */
  directory: string;
  environment: ReadonlyMap<string, string>;
  /** The files whose include led here, the project's first. */
  including: readonly string[];
}

/**
 * What one document says: its variables filled in, checked, then canonical. What it includes and extends is not in it yet, tags are
 * still there. Throws ComposeFileError.
 */
export function readLayer(document: Node, path: string, scope: Scope, loading: Loading): MapNode {
  const problems = new Problems(loading.cwd);
  let file = filledIn(document, [], scope, loading, problems);
  if (!isMap(file)) {
    problems.add(document.at, [], `top-level object must be a mapping, as "services:" with services below it`);
    file = { kind: "map", at: document.at, entries: new Map() };
  } else checkSchema(withoutTags(file) as MapNode, problems);
  problems.throwIfAny();
  if (file.entries.has("version")) {
    loading.warn(
      `${path}: the attribute \`version\` is obsolete, it will be ignored, please remove it to avoid potential confusion`,
    );
    file = withEntry(file, "version", undefined);
  }
  const layer = canonical(file, canonicalContext(scope.directory, loading, problems));
  problems.throwIfAny();
  return layer;
}

const canonicalContext = (directory: string, loading: Loading, problems: Problems): CanonicalContext => ({
  problems,
  base: loading.resolvePaths ? directory : undefined,
  home: loading.home,
  lenient: !loading.interpolate,
  warn: loading.warn,
});

function filledIn(node: Node, path: Path, { environment }: Scope, loading: Loading, problems: Problems): Node {
  if (!loading.interpolate) return node;
  const unset = (name: string): void => loading.warn(`The "${name}" variable is not set. Defaulting to a blank string.`);
  return interpolate(node, (name) => environment.get(name), problems, unset, path);
}
