import type { Project } from "../../compose/project.ts";
import { OnggiError } from "../../lib/errors.ts";
import type { Context } from "../context.ts";
import type { Globals } from "./flags.ts";

/** The project that flags, variables and files say; null: there is no file. */
export async function findProject(_context: Context, globals: Globals, _services: readonly string[]): Promise<Project | null> {
  const [file] = globals.file ?? [];
  if (file === undefined) return null;
  return JSON.parse(await Bun.file(file).text()) as Project;
}

/** A project that there must be. Throws `compose_file_not_found`, and what is wrong with the files. */
export async function loadProject(context: Context, globals: Globals, services: readonly string[]): Promise<Project> {
  const project = await findProject(context, globals, services);
  if (project) return project;
  throw new OnggiError("compose_file_not_found", "no configuration file provided: not found");
}
