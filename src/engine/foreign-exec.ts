/** Execs in containers that another OCI runtime has made: by that runtime. */
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plan } from "../plan/ops.ts";
import { compileForeignExec } from "../runtime/index.ts";
import type { Size } from "./attach.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { withHeldCapabilities } from "./foreign.ts";
import { execParts } from "./prepare.ts";
import { callOf, explainRuntime, runtimePaths } from "./runtime-command.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import type { StartFailed } from "./start-failed.ts";
import type { ExecRequest } from "./types.ts";

/** Begins the names of the files of an exec. */
const EXEC_FILES = "exec-";

export interface ForeignExec {
  readonly plan: Plan;
  readonly explain: (doing: string, error: unknown) => StartFailed | undefined;
  /** Takes away what was made for it: to be called once it runs, or does not. */
  readonly done: () => void;
}

/** An exec by the runtime: a file with the process, and the plan. */
export function foreignExec(
  context: Context,
  container: Container,
  runtime: ForeignRuntime,
  request: ExecRequest,
  size?: Size,
): ForeignExec {
  const { record } = container;
  const { spec, process, supervision } = execParts(context, container, request, size);
  const name = `${EXEC_FILES}${randomBytes(8).toString("hex")}`;
  const { directory } = runtimePaths(context, record);
  const file = (suffix: string) => join(directory, `${name}.${suffix}`);
  const pidPath = `${name}.pid`;
  const consolePath = supervision.tty ? `${name}.sock` : null;
  writeFileSync(file("json"), JSON.stringify(withHeldCapabilities(context, spec, process)), { mode: 0o600 });
  const terminal = consolePath === null ? [] : ["--console-socket", consolePath];
  const args = ["exec", "--detach", "--process", file("json"), "--pid-file", file("pid"), ...terminal, record.id];
  const plan = compileForeignExec({
    process,
    linux: spec.linux ?? {},
    call: callOf(context, record, runtime, file("log"), args),
    supervision: { ...supervision, runtime: { pidPath, consolePath, started: true } },
  });
  const command = request.command[0] ?? "";
  return {
    plan,
    explain: (doing, error) => explainRuntime(doing, runtime, command, error, file("log")),
    done: () => {
      for (const suffix of ["json", "log"]) rmSync(file(suffix), { force: true });
    },
  };
}

/** Takes away what an engine that was killed has left of its execs. */
export function forgetExecs(context: Context, record: ContainerRecord): void {
  if (!record.runtime) return;
  const { directory } = runtimePaths(context, record);
  // also the pid file that a runtime which was killed was about to rename: ".exec-..."
  for (const name of readdirSync(directory))
    if (name.replace(/^\./, "").startsWith(EXEC_FILES)) rmSync(join(directory, name), { force: true });
}
