import { UsageError } from "../errors.ts";
import { bool, choice, type Flag, type Flags, integer, list, text, type Values } from "../flags.ts";

/** Flags between `compose` and its command, as Docker's. */
export const composeFlags = {
  file: list("f", "FILE", "compose file, merged with the others (COMPOSE_FILE)", { complete: "file" }),
  "project-name": text("p", "NAME", "name of the project (COMPOSE_PROJECT_NAME)"),
  "project-directory": text("", "DIR", "where relative paths begin", { complete: "directory" }),
  profile: list("", "NAME", "services of a profile, too (COMPOSE_PROFILES)"),
  "env-file": list("", "FILE", "variables for the files, instead of .env", { complete: "file" }),
  "all-resources": bool("", "networks, volumes, secrets that no service uses, too", { rare: true }),
  progress: choice("", ["auto", "tty", "plain", "json", "quiet"], "how progress is shown (COMPOSE_PROGRESS)", { rare: true }),
  ansi: choice("", ["auto", "never", "always"], "colours and cursor movements (COMPOSE_ANSI)", { rare: true }),
  parallel: integer("", "N", "most things done at once, -1: all (COMPOSE_PARALLEL_LIMIT)", { rare: true }),
  "dry-run": bool("", "tell what would be done, do nothing"),
} satisfies Flags;

export type Globals = Values<typeof composeFlags>;

export const timeout = integer("t", "SECONDS", "patience before SIGKILL (10, or the service's stop_grace_period)");

/** "web=3". Throws UsageError. */
export const readScale = (given: string, name: string): readonly [string, number] => {
  const [, service, count] = /^([^=]+)=(\d+)$/.exec(given) ?? [];
  if (service === undefined) throw new UsageError(`${name} "${given}": write SERVICE=NUMBER`);
  return [service, Number(count)];
};

/** "web=3" each. */
export const scales: Flag<(readonly [string, number])[]> = {
  value: "SERVICE=N",
  help: "how many containers a service has",
  read: (given, name, before = []) => [...before, readScale(given, name)],
};

/** What is there for when images can be built. */
export const builds = {
  build: bool("", "build images first", { rare: true }),
  "no-build": bool("", "build no image", { rare: true }),
};
