import { similar } from "../../lib/similar.ts";
import type { FileReference, Project, ProjectFile, Service } from "../project.ts";
import { type MapNode, type Path, positionOf } from "./node.ts";
import type { Problems } from "./problems.ts";

/** Tells where: `add(path, message)` of the model. */
type Add = (path: Path, message: string) => void;

/** Checks a project's parts against each other: what is named is there, what excludes each other is not given together. */
export function check(project: Project, model: MapNode, problems: Problems): void {
  const add: Add = (path, message) => problems.add(positionOf(model, path), path, message);
  for (const service of Object.values(project.services)) {
    const at: Path = ["services", service.name];
    source(service, at, add);
    references(project, service, at, add);
    dependencies(project, service, at, add);
    limits(service, at, add);
    mounts(service, at, add);
  }
  containerNames(project, add);
  for (const [name, secret] of Object.entries(project.secrets)) content(secret, ["secrets", name], ["file", "environment"], add);
  for (const [name, config] of Object.entries(project.configs))
    content(config, ["configs", name], ["file", "environment", "content"], add);
  for (const section of ["volumes", "networks"] as const) {
    for (const [name, part] of Object.entries(project[section])) external(part, [section, name], add);
  }
  cycles(project, add);
}

const advice = (name: string, names: readonly string[]): string => {
  const near = similar(name, names);
  return near.length > 0 ? `; did you mean "${near[0]}"?` : "";
};

function source(service: Service, at: Path, add: Add): void {
  const { build } = service;
  if (build === undefined && service.image === undefined && service.provider === undefined) {
    add(at, `service "${service.name}" has neither an image nor a build context specified; give one of them`);
  }
  if (build?.dockerfile_inline !== undefined && build.dockerfile !== undefined) {
    add([...at, "build"], "dockerfile and dockerfile_inline exclude each other; keep one");
  }
  if (build?.platforms !== undefined && service.platform !== undefined && !build.platforms.includes(service.platform)) {
    add([...at, "build", "platforms"], `must include the service's platform, ${service.platform}`);
  }
  if (service.healthcheck?.test !== undefined && !["CMD", "CMD-SHELL", "NONE"].includes(service.healthcheck.test[0]!)) {
    add([...at, "healthcheck", "test"], `must start either by "CMD", "CMD-SHELL" or "NONE", or be a string`);
  }
}

function references(project: Project, service: Service, at: Path, add: Add): void {
  const undeclared = (path: Path, kind: string, name: string, known: object): void => {
    if (Object.hasOwn(known, name)) return;
    const near = advice(name, Object.keys(known));
    add(
      [...at, ...path],
      `refers to undefined ${kind} ${name}${near === "" ? `; declare it in "${kind === "build secret" ? "secret" : kind}s" at the top level` : near}`,
    );
  };
  if (service.network_mode !== undefined && service.networks !== undefined) {
    add([...at, "network_mode"], "excludes networks; keep one of network_mode and networks");
  }
  for (const name of Object.keys(service.networks ?? {})) undeclared(["networks", name], "network", name, project.networks);
  for (const [index, mount] of (service.volumes ?? []).entries()) {
    if (mount.type === "volume" && mount.source !== undefined)
      undeclared(["volumes", index], "volume", mount.source, project.volumes);
  }
  const files = (path: Path, kind: string, wanted: readonly Partial<FileReference>[] = [], known: object): void => {
    for (const [index, { source }] of wanted.entries()) {
      if (source === undefined) add([...at, ...path, index], `names no ${kind}; give it a source`);
      else undeclared([...path, index], kind, source, known);
    }
  };
  files(["secrets"], "secret", service.secrets, project.secrets);
  files(["configs"], "config", service.configs, project.configs);
  files(["build", "secrets"], "build secret", service.build?.secrets, project.secrets);
  for (const name of Object.keys(service.models ?? {})) undeclared(["models", name], "model", name, project.models);
  for (const [key, value] of Object.entries(service.build?.additional_contexts ?? {})) {
    const other = value.startsWith("service:") ? value.slice("service:".length) : undefined;
    if (other === undefined) continue;
    const place = [...at, "build", "additional_contexts", key];
    const target = project.services[other] ?? project.disabled[other];
    if (target === undefined)
      add(place, `names service "${other}", which is not there${advice(other, Object.keys(project.services))}`);
    else if (target.build === undefined) add(place, `names service "${other}", which is not built`);
  }
}

function dependencies(project: Project, service: Service, at: Path, add: Add): void {
  for (const [name, { required, condition }] of Object.entries(service.depends_on ?? {})) {
    const path = [...at, "depends_on", name];
    if (condition === undefined) add(path, `needs "condition", as in "condition: service_started"`);
    if (Object.hasOwn(project.services, name)) continue;
    const disabled = project.disabled[name];
    if (disabled !== undefined && !required) continue;
    if (disabled === undefined) {
      add(path, `service "${service.name}" depends on undefined service "${name}"${advice(name, Object.keys(project.services))}`);
    } else {
      const profiles = (disabled.profiles ?? []).map((profile) => `--profile ${profile}`).join(" or ");
      add(path, `service "${name}" is required by "${service.name}" but is disabled; enable it with ${profiles}`);
    }
  }
}

/** What is said twice must be the same. */
function limits(service: Service, at: Path, add: Add): void {
  const { deploy } = service;
  const { limits, reservations } = deploy?.resources ?? {};
  const twice: readonly [string, number | undefined, string, number | undefined][] = [
    ["scale", service.scale, "deploy.replicas", deploy?.replicas],
    ["cpus", service.cpus, "deploy.resources.limits.cpus", limits && Number(limits.cpus ?? 0)],
    ["mem_limit", service.mem_limit, "deploy.resources.limits.memory", limits && (limits.memory ?? 0)],
    ["pids_limit", service.pids_limit, "deploy.resources.limits.pids", limits && (limits.pids ?? 0)],
    [
      "mem_reservation",
      service.mem_reservation,
      "deploy.resources.reservations.memory",
      reservations && (reservations.memory ?? 0),
    ],
  ];
  for (const [key, value, other, same] of twice) {
    if (value !== undefined && same !== undefined && value !== same) {
      add([...at, key], `can't set distinct values on '${key}' and '${other}'; say it once`);
    }
  }
  if ((service.scale ?? 0) < 0) add([...at, "scale"], "must be greater than or equal to 0");
  const replicas = service.scale ?? deploy?.replicas ?? 1;
  if (service.container_name !== undefined && replicas > 1) {
    add([...at, "container_name"], `names one container, but there are to be ${replicas}; leave out container_name or scale`);
  }
}

function mounts(service: Service, at: Path, add: Add): void {
  const places = new Map<string, string>();
  const place = (target: string, path: Path, name: string): void => {
    const other = places.get(target);
    if (other !== undefined) add([...at, ...path], `target ${target} already mounted as ${other}`);
    places.set(target, name);
  };
  for (const [index, tmpfs] of (service.tmpfs ?? []).entries()) place(tmpfs.split(":")[0]!, ["tmpfs", index], `tmpfs[${index}]`);
  for (const [index, { target, type, source }] of (service.volumes ?? []).entries()) {
    if (target === undefined) add([...at, "volumes", index], `needs "target", a path in the container`);
    else place(target, ["volumes", index], `volumes[${index}]`);
    if (type === "bind" && source === undefined)
      add([...at, "volumes", index], `needs "source", a path of the host: it is a bind mount`);
  }
  for (const [index, rule] of (service.develop?.watch ?? []).entries()) {
    if (rule.target === undefined && rule.action !== "rebuild" && rule.action !== "restart") {
      add([...at, "develop", "watch", index], `needs "target", where ${rule.action} puts the files`);
    }
  }
}

function containerNames(project: Project, add: Add): void {
  const names = new Map<string, string>();
  for (const { name, container_name } of Object.values(project.services)) {
    if (container_name === undefined) continue;
    const other = names.get(container_name);
    if (other !== undefined) {
      add(["services", name, "container_name"], `container name "${container_name}" is already in use by service ${other}`);
    }
    names.set(container_name, name);
  }
}

function content(part: ProjectFile, at: Path, keys: readonly ("file" | "environment" | "content")[], add: Add): void {
  const given = keys.filter((key) => part[key] !== undefined);
  if (given.length > 1) add(at, `${given.join(" and ")} exclude each other; keep one`);
  if (given.length === 0 && part.external !== true && part.driver === undefined) add(at, `one of ${keys.join(", ")} must be set`);
}

/** What is not the project's has a name and nothing else. */
function external(part: object & { external?: boolean }, at: Path, add: Add): void {
  if (part.external !== true) return;
  const other = Object.keys(part).find((key) => !["name", "external", "extensions"].includes(key));
  if (other !== undefined)
    add([...at, other], `conflicting parameters "external" and "${other}" specified; what is external is as it is`);
}

function cycles(project: Project, add: Add): void {
  const done = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    const again = way.indexOf(name);
    if (again >= 0) {
      const cycle = [...way.slice(again), name];
      add(["services", cycle[0]!, "depends_on", cycle[1]!], `dependency cycle detected: ${cycle.join(" -> ")}`);
    }
    if (again >= 0 || done.has(name)) return;
    for (const other of Object.keys(project.services[name]?.depends_on ?? {})) visit(other, [...way, name]);
    done.add(name);
  };
  for (const name of Object.keys(project.services)) visit(name, []);
}
