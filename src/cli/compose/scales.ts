import type { Project } from "../../compose/project.ts";
import { requireService } from "./command.ts";

/** The project with other numbers of containers. Throws `service_not_found`. */
export function withScales(project: Project, scales: readonly (readonly [string, number])[]): Project {
  if (scales.length === 0) return project;
  const services = { ...project.services };
  for (const [name, count] of scales) {
    requireService(project, name);
    const service = services[name];
    if (service) services[name] = { ...service, scale: count };
  }
  return { ...project, services };
}
