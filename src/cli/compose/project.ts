import { type LoadOptions, loadProject as load } from "../../compose/load/index.ts";
import type { Project } from "../../compose/project.ts";
import { omitAbsent } from "../../lib/tables.ts";
import { type Context, line } from "../context.ts";
import type { Globals } from "./flags.ts";

/** The project that flags, variables and files say; `services` are named: their profiles need not be. Throws what is wrong. */
export const loadProject = (
  context: Context,
  globals: Globals,
  services: readonly string[],
  options: Partial<LoadOptions> = {},
): Promise<Project> => loading(context, globals, { services, ...options }, load);

/** Has `read` load what flags and variables say; what is odd about the files is told. */
export async function loading<T>(
  context: Context,
  globals: Globals,
  options: Partial<LoadOptions>,
  read: (options: LoadOptions) => Promise<T>,
): Promise<T> {
  const said: Promise<void>[] = [];
  try {
    return await read({
      cwd: context.cwd,
      environment: context.env,
      warn: (message) => void said.push(line(context.stderr, `WARN ${message}`)),
      stdin: () => context.stdin(),
      ...omitAbsent({
        files: globals.file,
        projectName: globals["project-name"],
        projectDirectory: globals["project-directory"],
        envFiles: globals["env-file"],
        profiles: globals.profile,
      }),
      ...options,
    });
  } finally {
    await Promise.all(said);
  }
}
