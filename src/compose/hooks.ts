import { OnggiError } from "../lib/errors.ts";
import { omitAbsent } from "../lib/tables.ts";
import { environmentOf } from "./compile-request.ts";
import type { Host } from "./host.ts";
import type { Hook } from "./project.ts";

/** Runs a service's commands in its container, one after the other. Throws `hook_failed`, with what the command said last. */
export async function runHooks(
  host: Host,
  kind: "post_start" | "pre_stop" | "develop.watch",
  hooks: readonly Hook[] = [],
  container: { id: string; name: string },
): Promise<void> {
  for (const { command, user, privileged, working_dir, environment } of hooks) {
    const said: Uint8Array[] = [];
    const keep = (chunk: Uint8Array): void => {
      said.push(chunk.slice(-KEPT));
      if (said.length > 8) said.shift();
    };
    const exec = { command, ...omitAbsent({ user, privileged, workdir: working_dir, env: environmentOf(environment) }) };
    const attach = { stdin: false, stdout: true, stderr: true };
    const { exitCode } = await host.call(
      "exec",
      { container: container.id, exec, attach },
      { stdout: keep, stderr: keep },
      host.signal,
    );
    if (exitCode === 0) continue;
    const output = Buffer.concat(said).toString().trim();
    throw new OnggiError(
      "hook_failed",
      `${kind} of container ${container.name}: "${command.join(" ")}" exited with ${exitCode}${output && `: ${output}`}`,
    );
  }
}

/** Bytes of output that an error shows at most of each piece. */
const KEPT = 500;
