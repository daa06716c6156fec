import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { stringify } from "yaml";
import { serviceHash } from "../../compose/hash.ts";
import { type LoadOptions, loadProjectModel, selectServices, withoutUnused } from "../../compose/load/index.ts";
import { plain } from "../../compose/load/node.ts";
import { printedProject } from "../../compose/load/print.ts";
import { modelVariables } from "../../compose/load/variables.ts";
import { imageName } from "../../compose/names.ts";
import type { Project } from "../../compose/project.ts";
import { credentialsOf } from "../../credentials/credentials.ts";
import { OnggiError } from "../../lib/errors.ts";
import { table } from "../../lib/table.ts";
import { canonicalName, parseReference } from "../../oci/reference.ts";
import { type Context, line } from "../context.ts";
import { bool, choice, text, type Values } from "../flags.ts";
import { type Compose, defineCompose } from "./command.ts";
import { loading, loadProject } from "./project.ts";

const flags = {
  services: bool("", "names of services only"),
  volumes: bool("", "names of volumes only"),
  networks: bool("", "names of networks only"),
  models: bool("", "names of models only", { rare: true }),
  images: bool("", "names of images only"),
  profiles: bool("", "names of profiles only"),
  environment: bool("", "the variables that files are filled in with"),
  variables: bool("", "what the files name of them, with defaults"),
  hash: text("", "SERVICE,...", "what tells a service from what it was; * for all"),
  format: choice("", ["yaml", "json"], "how to print"),
  output: text("o", "FILE", "write there", { complete: "file" }),
  quiet: bool("q", "check only, print nothing"),
  "resolve-image-digests": bool("", "images by their digests, asked of registries"),
  "lock-image-digests": bool("", "a file with these digests only, to be merged over the others", { rare: true }),
  "no-interpolate": bool("", "variables stay as they are"),
  "no-normalize": bool("", "what is implied stays so", { rare: true }),
  "no-path-resolution": bool("", "paths stay relative", { rare: true }),
  "no-consistency": bool("", "parts are not checked against each other", { rare: true }),
  "no-env-resolution": bool("", "env files are not read", { rare: true }),
};
type Given = Values<typeof flags>;

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "check the files, print the project they make",
  flags,
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [
    ["compose config -q", "are the files right"],
    ["compose config --variables", "what can be set"],
  ],
  async run(compose, values, args) {
    const lines = await said(compose, values, args);
    if (values.quiet) return 0;
    if (values.output === undefined) for (const each of lines) await line(compose.context.stdout, each);
    else await writeFile(resolve(compose.context.cwd, values.output), lines.map((each) => `${each}\n`).join(""));
    return 0;
  },
});

async function said({ context, globals }: Compose, values: Given, args: readonly string[]): Promise<string[]> {
  const options: Partial<LoadOptions> = {
    interpolate: !values["no-interpolate"],
    normalize: !values["no-normalize"],
    resolvePaths: !values["no-path-resolution"],
    consistency: !values["no-consistency"],
    resolveEnvironment: !values["no-env-resolution"],
  };
  const model = (more: Partial<LoadOptions>) => loading(context, globals, { ...options, ...more }, loadProjectModel);
  if (values.variables) return variables(modelVariables((await model({ interpolate: false })).node), values.format);
  if (values.environment) {
    const { environment } = (await model({})).located;
    return [...environment].map(([name, value]) => `${name}=${value}`).sort();
  }
  if (values["no-interpolate"] && !onlyNames(values)) {
    const { node, name } = await model({});
    return written({ name, ...(plain(node) as object) }, values.format);
  }
  const whole = selectServices(await loadProject(context, globals, [], options), args);
  const project = globals["all-resources"] ? whole : withoutUnused(whole);
  if (onlyNames(values)) return names(whole, project, values);
  if (values.hash !== undefined) return hashes(project, values.hash);
  const resolving = values["resolve-image-digests"] || values["lock-image-digests"];
  const pinned = resolving ? await withDigests(context, project) : project;
  if (values["lock-image-digests"]) return written({ services: images(pinned) }, values.format);
  return written(dollarsDoubled(printedProject(pinned, values.format === "json" ? "json" : "yaml")), values.format);
}

const onlyNames = (values: Given): boolean | undefined =>
  values.services || values.volumes || values.networks || values.models || values.images || values.profiles;

function names(whole: Project, project: Project, values: Given): string[] {
  if (values.services) return Object.keys(project.services);
  if (values.volumes) return Object.keys(project.volumes);
  if (values.networks) return Object.keys(project.networks);
  if (values.models) return Object.keys(project.models);
  if (values.images) return [...new Set(Object.values(project.services).map((service) => imageName(project.name, service)))];
  const all = [...Object.values(whole.services), ...Object.values(whole.disabled)].flatMap(({ profiles }) => profiles ?? []);
  return [...new Set(all)].sort();
}

function hashes({ services }: Project, wanted: string): string[] {
  const chosen = wanted === "*" ? Object.keys(services).sort() : wanted.split(",");
  return chosen.map((name) => {
    const service = Object.hasOwn(services, name) ? services[name] : undefined;
    if (service === undefined) throw new OnggiError("no_such_service", `no such service: ${name}: not found`);
    return `${name} ${serviceHash(service)}`;
  });
}

function variables(found: ReturnType<typeof modelVariables>, format: Given["format"]): string[] {
  if (format === "json") return [JSON.stringify(Object.fromEntries(found.map((variable) => [variable.Name, variable])), null, 4)];
  const rows = found.map(({ Name, Required, DefaultValue, PresenceValue }) => [Name, `${Required}`, DefaultValue, PresenceValue]);
  return table(["NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE"], rows);
}

/** By service its image, as a file of compose's has it. */
const images = ({ services }: Project): Record<string, { image: string }> =>
  Object.fromEntries(Object.values(services).flatMap(({ name, image }) => (image === undefined ? [] : [[name, { image }]])));

async function withDigests(context: Context, project: Project): Promise<Project> {
  const services = Object.entries(project.services).map(async ([name, service]) => {
    const reference = service.image === undefined ? undefined : parseReference(service.image);
    if (reference === undefined || reference.digest) return [name, service] as const;
    const manifest = canonicalName(reference);
    const { text } = await context.call("manifestInspect", {
      manifest,
      verbose: false,
      auths: await credentialsOf(context, [manifest]),
    });
    return [name, { ...service, image: `${manifest}@sha256:${createHash("sha256").update(text).digest("hex")}` }] as const;
  });
  return { ...project, services: Object.fromEntries(await Promise.all(services)) };
}

/** So that the text, as a file, says the same again. */
const dollarsDoubled = <T>(value: T): T => JSON.parse(JSON.stringify(value).replaceAll("$", "$$$$")) as T;

function written(value: object, format: Given["format"]): string[] {
  if (format === "json") return [JSON.stringify(value, null, 2)];
  // as YAML 1.1 reads it, too: "no" and 0440 are quoted
  return [stringify(value, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false }).trimEnd()];
}
