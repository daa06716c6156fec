import type { ContainerRequest, MountRequest } from "../api/control/types.ts";
import { invalid, unsupported } from "./compile-errors.ts";
import type { FileReference, Project, ProjectFile, Service } from "./project.ts";

/** A secret or config that no file of the host holds. */
export interface InjectedFile {
  /** Absolute, in the container. */
  readonly path: string;
  readonly text: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

const READABLE = 0o444;

export interface CompiledFiles {
  readonly mounts: MountRequest[];
  readonly secrets: Secret[];
  readonly files: InjectedFile[];
}

type Secret = NonNullable<ContainerRequest["secrets"]>[number];

/**
 * A service's secrets and configs: files of the host are mounted read-only. Texts of secrets are the engine's secrets, those of configs
 * files of the container's own; where it can have no such files, secrets too, and the other way round.
 */
export function compileFiles(project: Project, service: Service): CompiledFiles {
  const found: CompiledFiles = { mounts: [], secrets: [], files: [] };
  const add = (kind: "secrets" | "configs", directory: string, reference: FileReference): void => {
    const defined = project[kind][reference.source];
    const where = `${kind}.${reference.source}`;
    if (defined === undefined) throw invalid(service, where, "the project has none of that name");
    if (defined.external)
      throw unsupported(service, where, "external ones are those of a swarm; give a file, an environment or content");
    const path = pathOf(reference, directory);
    if (defined.file !== undefined) {
      found.mounts.push({ type: "bind", source: defined.file, target: path, readonly: true });
      return;
    }
    const text = textOf(project, service, where, defined);
    const owned = ownership(service, where, reference);
    const isSecret = service.read_only || (kind === "secrets" && service.runtime === undefined);
    if (isSecret)
      found.secrets.push({ name: reference.source, data: Buffer.from(text).toString("base64"), target: path, ...owned });
    else found.files.push({ path, text, ...owned });
  };
  for (const reference of service.secrets ?? []) add("secrets", "/run/secrets/", reference);
  for (const reference of service.configs ?? []) add("configs", "/", reference);
  return found;
}

const pathOf = ({ source, target = source }: FileReference, directory: string): string =>
  target.startsWith("/") ? target : `${directory}${target}`;

function textOf(project: Project, service: Service, where: string, { content, environment }: ProjectFile): string {
  if (content !== undefined) return content;
  const text = environment === undefined ? undefined : project.environment[environment];
  if (text === undefined)
    throw invalid(
      service,
      where,
      environment === undefined
        ? "it has neither file, environment nor content"
        : `environment variable ${environment} is not set`,
    );
  return text;
}

function ownership(service: Service, where: string, { uid = "0", gid = "0", mode = READABLE }: FileReference) {
  for (const id of [uid, gid]) if (!/^\d+$/.test(id)) throw invalid(service, where, `"${id}" is no number of a user or group`);
  return { uid: Number(uid), gid: Number(gid), mode };
}
