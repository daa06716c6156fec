import type { Project, ProjectFile, ProjectNetwork, ProjectVolume, Service } from "./project.ts";

/** Digests of what Docker's compose has none for, or another one: where one differs from the label of what is there, that is made anew. */

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

export const networkSettings = ({ external: _, ...made }: ProjectNetwork): string => digest(made);
export const volumeSettings = ({ external: _, ...made }: ProjectVolume): string => digest(made);

/** Of the texts that a service has as secrets and configs; "" where it has none. */
export function textSettings(project: Project, service: Service): string {
  const texts = [
    ...(service.secrets ?? []).map(({ source }) => textOf(project, project.secrets[source])),
    ...(service.configs ?? []).map(({ source }) => textOf(project, project.configs[source])),
  ];
  return texts.every((text) => text === undefined) ? "" : digest(texts.map((text) => text ?? null));
}

/** The text of a secret or config that no file holds; undefined where there is none. */
export function textOf(project: Project, file: ProjectFile | undefined): string | undefined {
  if (file?.content !== undefined) return file.content;
  return file?.environment === undefined ? undefined : project.environment[file.environment];
}
