import type { Project } from "../project.ts";
import { projectFile, projectNetwork, projectVolume } from "./parts.ts";
import { service } from "./service.ts";
import { record, type Style, sorted } from "./shape.ts";

/**
 * A project as Docker's compose prints it: the specification's keys in its order, names sorted. What label_file says is among the
 * labels. `config` writes this.
 */
export function printedProject(project: Project, style: Style): Record<string, unknown> {
  const section = <T>(parts: Record<string, T>, print: (part: T, style: Style) => unknown): Record<string, unknown> =>
    record(sorted(parts).map(([name, part]) => [name, print(part, style)]));
  const sections = {
    networks: section(project.networks, projectNetwork.print),
    volumes: section(project.volumes, projectVolume.print),
    secrets: section(project.secrets, projectFile.print),
    configs: section(project.configs, projectFile.print),
    models: section(project.models, (model) => model),
  };
  const given = Object.entries(sections).filter(([, parts]) => Object.keys(parts).length > 0);
  return {
    name: project.name,
    services: section(project.services, ({ label_file: _, ...rest }, style) => service.print(rest, style)),
    ...Object.fromEntries(given),
    ...project.extensions,
  };
}

/** JSON as Go's encoder writes it: without spaces, and with < > & and line separators of JavaScript escaped. */
export const goJson = (value: unknown): string =>
  JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
