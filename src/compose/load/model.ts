import { OnggiError } from "../../lib/errors.ts";
import { withExtended } from "./extends.ts";
import { withIncludes } from "./include.ts";
import { type Loading, readLayer, type Scope } from "./layer.ts";
import { merge, withoutRepeats, withoutTags } from "./merge.ts";
import { get, isMap, isNull, type MapNode, mapValues, scalar, withEntry } from "./node.ts";
import { shownFile } from "./problems.ts";

/**
 * Files merged in their order, with what they include and extend: canonical, variables filled in, paths absolute.
 * Throws ComposeFileError, and what reading files throws.
 */
export async function loadModel(paths: readonly string[], scope: Scope, loading: Loading): Promise<MapNode> {
  let model: MapNode | undefined;
  for (const path of paths) {
    for (const document of await loading.files.documents(path)) {
      if (isNull(document)) continue;
      const layer = readLayer(document, path, scope, loading);
      const include = get(layer, "include");
      const whole = await withIncludes(withEntry(layer, "include", undefined), include, path, scope, loading, loadModel);
      const extended = await withExtended(whole, path, scope, loading);
      model = withoutRepeats(merge(model, extended)) as MapNode;
    }
  }
  if (model === undefined || model.entries.size === 0) {
    const names = paths.map((path) => shownFile(path, loading.cwd)).join(", ");
    throw new OnggiError("empty_compose_file", `empty compose file: ${names} says nothing; write a service into it`);
  }
  return withBuildContexts(withoutTags(model) as MapNode, loading.resolvePaths ? scope.directory : ".");
}

/** What is built without saying of what is built of the project's directory; known once all files are merged. */
function withBuildContexts(model: MapNode, directory: string): MapNode {
  const services = get(model, "services");
  if (!isMap(services)) return model;
  const whole = mapValues(services, (service) => {
    const build = get(service, "build");
    if (!isMap(service) || !isMap(build) || build.entries.has("context")) return service;
    return withEntry(service, "build", withEntry(build, "context", scalar(directory, build.at)));
  });
  return withEntry(model, "services", whole);
}
