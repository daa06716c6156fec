import { loadProject as load } from "../../compose/load/index.ts";
import type { Project } from "../../compose/project.ts";
import { omitAbsent } from "../../lib/tables.ts";
import { type Context, line } from "../context.ts";
import type { Globals } from "./flags.ts";

/** The project that flags, variables and files say; `services` are named: their profiles need not be. Throws what is wrong. */
export async function loadProject(context: Context, globals: Globals, services: readonly string[]): Promise<Project> {
  const said: Promise<void>[] = [];
  try {
    return await load({
      cwd: context.cwd,
      environment: context.env,
      services,
      warn: (message) => void said.push(line(context.stderr, `WARN ${message}`)),
      stdin: () => new Response(context.stdin()).text(),
      ...omitAbsent({
        files: globals.file,
        projectName: globals["project-name"],
        projectDirectory: globals["project-directory"],
        envFiles: globals["env-file"],
        profiles: globals.profile,
      }),
    });
  } finally {
    await Promise.all(said);
  }
}
