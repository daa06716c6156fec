/** The commands by name. Each is loaded when it is called. */
import type { Command } from "./command.ts";

/** In the order of the help. */
export const commandNames = [
  "checkpoint",
  "create",
  "delete",
  "events",
  "exec",
  "features",
  "kill",
  "list",
  "pause",
  "ps",
  "restore",
  "resume",
  "run",
  "spec",
  "start",
  "state",
  "update",
] as const;

export type CommandName = (typeof commandNames)[number];

/** Undefined for a name that is none of the commands'. */
export async function loadCommand(name: string): Promise<Command | undefined> {
  switch (name as CommandName) {
    case "create":
      return (await import("./create.ts")).create;
    case "start":
      return (await import("./start.ts")).start;
    case "run":
      return (await import("./run.ts")).run;
    case "exec":
      return (await import("./exec.ts")).exec;
    case "state":
      return (await import("./state.ts")).state;
    case "kill":
      return (await import("./kill.ts")).kill;
    case "delete":
      return (await import("./delete.ts")).remove;
    case "list":
      return (await import("./list.ts")).list;
    case "ps":
      return (await import("./ps.ts")).ps;
    case "pause":
      return (await import("./pause.ts")).pause;
    case "resume":
      return (await import("./resume.ts")).resume;
    case "update":
      return (await import("./update.ts")).update;
    case "events":
      return (await import("./events.ts")).events;
    case "features":
      return (await import("./features.ts")).features;
    case "spec":
      return (await import("./spec.ts")).spec;
    case "checkpoint":
      return (await import("./checkpoint.ts")).checkpoint;
    case "restore":
      return (await import("./restore.ts")).restore;
    default:
      return undefined;
  }
}
