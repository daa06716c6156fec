import type { Project, ProjectFile, ProjectNetwork, ProjectVolume, Service } from "./project.ts";

/** Digests of what something was made from: where one differs from the label of what is there, that is made anew. */

/** JSON with keys in order: the same value, the same text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value)
    .filter(([, inner]) => inner !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
}

const digest = (value: unknown): string => new Bun.CryptoHasher("sha256").update(canonical(value)).digest("hex");

/** Of all that a service's containers are made from, with the texts of its secrets and configs. */
export function serviceHash(project: Project, service: Service): string {
  const { build, pull_policy, scale, depends_on, profiles, develop, attach, post_start, pre_stop, deploy, extensions, ...made } =
    service;
  const resources = deploy && { resources: deploy.resources, restart_policy: deploy.restart_policy };
  const texts = (files: Readonly<Record<string, ProjectFile>>, used: Service["configs"]): unknown =>
    used?.map(({ source }) => files[source]?.file ?? contentOf(project, files[source]));
  return digest({
    ...made,
    deploy: resources,
    files: [texts(project.secrets, service.secrets), texts(project.configs, service.configs)],
  });
}

/** The text of a secret or config that no file holds; undefined where there is none. */
export function contentOf(project: Project, file: ProjectFile | undefined): string | undefined {
  if (file?.content !== undefined) return file.content;
  return file?.environment === undefined ? undefined : project.environment[file.environment];
}

export const networkHash = ({ external: _, ...made }: ProjectNetwork): string => digest(made);
export const volumeHash = ({ external: _, ...made }: ProjectVolume): string => digest(made);
