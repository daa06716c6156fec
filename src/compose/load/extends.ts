import { dirname, isAbsolute, join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { similar } from "../../lib/similar.ts";
import { type Loading, readLayer, type Scope } from "./layer.ts";
import { merge } from "./merge.ts";
import { get, isMap, isText, type MapNode, map, mapValues, type Node, withEntry } from "./node.ts";
import { Problems, shownFile } from "./problems.ts";

/** A file that services are taken from. */
interface Services {
  path: string;
  names: readonly string[];
  /** The service's own words, canonical. Throws ComposeFileError. */
  service(name: string): Node | undefined;
  scope: Scope;
}

/** One step of a chain of services that extend each other. */
interface Step {
  path: string;
  name: string;
}

/** The file's services with what they extend below what they say (05-services.md, extends). Throws ComposeFileError. */
export async function withExtended(file: MapNode, path: string, scope: Scope, loading: Loading): Promise<MapNode> {
  const services = get(file, "services");
  if (!isMap(services)) return file;
  const source: Services = { path, names: [...services.entries.keys()], service: (name) => get(services, name), scope };
  const whole = new Map<string, Node>();
  for (const name of source.names) whole.set(name, await wholeService(name, source, loading, []));
  return withEntry(
    file,
    "services",
    mapValues(services, (_, name) => whole.get(name)),
  );
}

/** A service of `source` with all that it extends. `chain` is what extends it, outermost first. */
async function wholeService(name: string, source: Services, loading: Loading, chain: readonly Step[]): Promise<Node> {
  const own = source.service(name)!;
  const wanted = get(own, "extends");
  if (!isMap(own) || !isMap(wanted)) return own;
  const problems = new Problems(loading.cwd);
  const refuse = (message: string): void => {
    problems.add(wanted.at, ["services", name, "extends"], message);
    problems.throwIfAny();
  };
  const [base, file] = [get(wanted, "service"), get(wanted, "file")];
  const steps = [...chain, { path: source.path, name }];
  let from = source;
  if (isText(file)) {
    try {
      from = await servicesOf(
        isAbsolute(file.value) ? file.value : join(source.scope.directory, file.value),
        source.scope,
        loading,
      );
    } catch (error) {
      if ((error as { code?: string }).code !== "file_not_found") throw error;
      refuse(`cannot read ${file.value}: ${messageOf(error)}`);
    }
  }
  const baseName = isText(base) ? base.value : "";
  if (from.service(baseName) === undefined) {
    const near = similar(baseName, from.names);
    const advice = near.length > 0 ? `did you mean "${near[0]}"?` : `there are ${from.names.join(", ") || "none"}`;
    refuse(`cannot extend service "${name}": service "${baseName}" is not in ${shownFile(from.path, loading.cwd)}; ${advice}`);
  }
  const again = steps.findIndex((step) => step.path === from.path && step.name === baseName);
  if (again >= 0) {
    const cycle = [...steps.slice(again), { path: from.path, name: baseName }];
    refuse(
      `circular reference: ${cycle.map((step) => `${step.name} in ${shownFile(step.path, loading.cwd)}`).join(" extends ")}`,
    );
  }
  const below = await wholeService(baseName, from, loading, steps);
  return merge(below, withEntry(own, "extends", undefined), ["services", name]);
}

/** The services of another file, each read when it is wanted: what is wrong with the others is nobody's concern. */
async function servicesOf(path: string, scope: Scope, loading: Loading): Promise<Services> {
  const documents = await loading.files.documents(path);
  const written = new Map<string, Node>();
  for (const document of documents) {
    const services = get(document, "services");
    if (isMap(services)) for (const [name, { value }] of services.entries) written.set(name, value);
  }
  const inside: Scope = { ...scope, directory: dirname(path) };
  const read = new Map<string, Node | undefined>();
  const service = (name: string): Node | undefined => {
    const node = written.get(name);
    if (node === undefined || read.has(name)) return read.get(name);
    const layer = readLayer(map([["services", map([[name, node]], node.at)]], node.at), path, inside, loading);
    read.set(name, get(get(layer, "services"), name));
    return read.get(name);
  };
  return { path, names: [...written.keys()], service, scope: inside };
}
