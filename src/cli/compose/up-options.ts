import type { UpOptions } from "../../compose/up.ts";
import { OnggiError } from "../../lib/errors.ts";
import type { Compose } from "./command.ts";

/** Flags that commands which make containers share. */
export interface UpFlags {
  detach?: boolean;
  wait?: boolean;
  timeout?: number;
  pull?: "always" | "missing" | "never";
  attach?: string[];
  [flag: string]: unknown;
}

/** What they ask for. Throws `builder_missing`. */
export function upOptions({ context }: Compose, values: UpFlags, services: readonly string[]): UpOptions {
  if (values.build)
    throw new OnggiError("builder_missing", "--build: there is no builder yet: build images elsewhere and load them");
  const on = (name: string): boolean => /^(1|true|t)$/i.test(context.env[name] ?? "");
  return {
    services,
    recreate: values["force-recreate"] ? "force" : values["no-recreate"] ? "never" : "diverged",
    recreateDependencies: values["always-recreate-deps"] ? "force" : values["no-recreate"] ? "never" : "diverged",
    withoutDependencies: values["no-deps"] === true && services.length > 0,
    rolling: values.rolling === true,
    withoutStart: values["no-start"] === true,
    removeOrphans: (values["remove-orphans"] as boolean | undefined) ?? on("COMPOSE_REMOVE_ORPHANS"),
    ignoreOrphans: on("COMPOSE_IGNORE_ORPHANS"),
    renewVolumes: values["renew-anon-volumes"] === true,
    pull: values.pull,
    quiet: values["quiet-pull"] === true,
    timeout: values.timeout,
  };
}
