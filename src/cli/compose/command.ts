import { codeOf } from "../../compose/host.ts";
import type { Project } from "../../compose/project.ts";
import { OnggiError } from "../../lib/errors.ts";
import type { Command } from "../command.ts";
import type { Context } from "../context.ts";
import { UsageError } from "../errors.ts";
import type { Flags, Values } from "../flags.ts";
import { composeFlags, type Globals } from "./flags.ts";
import { loadProject } from "./project.ts";

/** What a command of compose works with. */
export interface Compose {
  readonly context: Context;
  readonly globals: Globals;
  /** The project of the files. `services` are asked for by name: their profiles need not be. Throws where one is none of it. */
  project(services?: readonly string[]): Promise<Project>;
  /** A project's name, and its files where there are some: what runs is found without them. */
  known(services?: readonly string[]): Promise<Known>;
}

export interface Known {
  readonly name: string;
  readonly project: Project | null;
}

interface ComposeCommand<F extends Flags> extends Omit<Command<F>, "run"> {
  /** It does something that cannot be told without doing it. */
  readonly refusesDryRun?: true;
  run(compose: Compose, values: Values<F>, args: readonly string[]): Promise<number>;
}

/** A command of compose: its flags, and before them those of the group, of which --dry-run may stand behind it, too. */
export const defineCompose = <const F extends Flags>({ run, refusesDryRun, ...command }: ComposeCommand<F>): Command<F> => ({
  ...command,
  flags: { ...command.flags, "dry-run": { ...composeFlags["dry-run"], rare: true } },
  run: (context, values, args, before) => {
    const globals: Globals = "dry-run" in values ? { ...before, "dry-run": true } : before;
    if (globals["dry-run"] && refusesDryRun) {
      throw new UsageError("--dry-run: what this command would do cannot be told without doing it");
    }
    return run(new Calling(context, globals), values, args);
  },
});

class Calling implements Compose {
  readonly context: Context;
  readonly globals: Globals;

  constructor(context: Context, globals: Globals) {
    this.context = context;
    this.globals = globals;
  }

  async project(services: readonly string[] = []): Promise<Project> {
    const project = await loadProject(this.context, this.globals, services);
    for (const name of services) requireService(project, name);
    return project;
  }

  async known(services: readonly string[] = []): Promise<Known> {
    const named = this.globals["project-name"] || this.context.env.COMPOSE_PROJECT_NAME;
    try {
      const project = await this.project(services);
      return { name: project.name, project };
    } catch (error) {
      // files of another directory, or none: a project that is named is found by its labels
      if (!named || this.globals.file || codeOf(error) !== "no_compose_file") throw error;
      return { name: named, project: null };
    }
  }
}

export function requireService(project: Project, name: string): void {
  if (name in project.services || name in project.disabled) return;
  const known = Object.keys(project.services).join(", ");
  throw new OnggiError("no_such_service", `no such service: ${name}; ${project.name} has ${known || "none"}`);
}
