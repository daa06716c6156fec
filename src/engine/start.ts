import { readFileSync, rmSync } from "node:fs";
import { NEVER, nowNs, parseRfc3339, rfc3339 } from "../lib/time.ts";
import { decodeExitRecord } from "../native/exit-record.ts";
import type { Exit, Started } from "../native/protocol.ts";
import { SetupFailed, Shim } from "../native/shim.ts";
import type { Spec } from "../oci/spec.ts";
import { encode } from "../plan/encode.ts";
import type { Plan } from "../plan/ops.ts";
import type { CgroupJoin } from "../runtime/cgroups/index.ts";
import { giveNetDevices, hookOutcome } from "../runtime/index.ts";
import { SIG } from "../sys/constants.ts";
import { errnoName, errnoText, isErrno } from "../sys/errno.ts";
import { containerCgroup } from "./cgroups.ts";
import type { Container } from "./container.ts";
import { acquireVolumes, releaseVolumes } from "./container-volumes.ts";
import { type Context, inBackground, note } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { deleteByRuntime, foreignPlan, makeBundle, startByRuntime } from "./foreign.ts";
import { startingHealth, untilNextCheck } from "./health-check.ts";
import { afterStop, type ContainerHooks, hooksOf } from "./hooks.ts";
import { mountShm, unmountShm } from "./ipc-mode.ts";
import { containerPaths } from "./layout.ts";
import { checkLinks, withLinkVariables } from "./links.ts";
import { describe } from "./list.ts";
import { watchRotation } from "./log-compress.ts";
import { forwardLog } from "./log-drivers.ts";
import { attachNetworks, detachNetworks, hasOwnNetworks } from "./networking.ts";
import { checkJoined, joinsAny } from "./pid-mode.ts";
import { createPlan, type Size, specOf } from "./prepare.ts";
import { reserveRealtime } from "./realtime.ts";
import { deleteContainer, removeCgroup } from "./remove.ts";
import { afterExit } from "./restart-policy.ts";
import { tellJoined, tellLeftLater } from "./run-events.ts";
import { explainRuntime, runtimePaths } from "./runtime-command.ts";
import { StartFailed } from "./start-failed.ts";
import { next } from "./state.ts";
import { floors, type Trace } from "./trace.ts";

export interface StartOptions {
  readonly size?: Size | undefined;
  readonly trace?: Trace | undefined;
  /** Only if it is still restarting: its policy starts it, not somebody. */
  readonly byPolicy?: boolean | undefined;
  /** Called once the shim answers and before the process starts, so that whoever attaches misses nothing. */
  readonly beforeStart?: ((shim: Shim) => Promise<void>) | undefined;
}

/** The failure of a plan in words, by the operation that failed; `doing` says what was tried: "start container web". */
export function explainFailure(doing: string, plan: Plan, command: string, failed: SetupFailed): StartFailed {
  const { section, index, errno, text } = failed.failure;
  const ops = section === "before" || section === "after" || section === "child" ? plan[section] : [];
  const op = index === null ? undefined : ops[index];
  const reason = errno === 0 ? text : `${errnoName(errno)} (${errnoText(errno)})`;
  if (section === "child" && (op?.kind === "execve" || op?.kind === "fail" || op?.kind === "lookUp")) {
    if (errnoName(errno) === "ENOENT" || errnoName(errno) === "ENOTDIR") {
      const where = command.includes("/") ? "no such file or directory" : "executable file not found in $PATH";
      return new StartFailed("command_not_found", `cannot ${doing}: ${JSON.stringify(command)}: ${where}`, 127);
    }
    const what = errnoName(errno) === "ENOEXEC" ? "exec format error: not a program for this machine" : errnoText(errno);
    return new StartFailed("command_not_executable", `cannot ${doing}: ${JSON.stringify(command)}: ${what}`, 126);
  }
  const what = op ? op.why : `${section} ${text}`;
  if (op?.kind === "runHook")
    return new StartFailed("start_failed", `cannot ${doing}: ${what}: ${hookOutcome(Number(op.timeout), errno)}`, 125);
  const noDirectory = op?.why.endsWith("working directory");
  return new StartFailed(
    "start_failed",
    `cannot ${doing}: ${what}: ${reason}`,
    noDirectory && errnoName(errno) === "ENOENT" ? 127 : op?.why.startsWith("working directory") ? 126 : 125,
  );
}

/** The plan and what the shim is passed; `release` closes of that what is not kept. */
function prepare(
  context: Context,
  record: ContainerRecord,
  spec: Spec,
  join: CgroupJoin,
  size: Size | undefined,
  hooks: ContainerHooks | undefined,
) {
  hooks?.writeBundle();
  if (!record.runtime) return createPlan(context, record, spec, join, { size, hookState: hooks?.state });
  const { plan, passedFds } = foreignPlan(context, record, record.runtime, spec, join);
  const bundle = makeBundle(context, record, spec, size);
  return { plan, passedFds: [...passedFds, ...bundle.passedFds], release: bundle.release };
}

/** From a shim that sets the process up to a process that runs. */
async function begin(
  context: Context,
  record: ContainerRecord,
  shim: Shim,
  spec: Spec,
  hooks: ContainerHooks | undefined,
): Promise<Started> {
  if (joinsAny(record.request)) {
    await shim.main.created;
    await checkJoined(context, record);
  }
  if (record.runtime) return startByRuntime(context, record, record.runtime, shim);
  return startByShim(context, record, shim, spec, hooks);
}

async function startByShim(
  context: Context,
  record: ContainerRecord,
  shim: Shim,
  { linux = {} }: Spec,
  hooks: ContainerHooks | undefined,
): Promise<Started> {
  const { netDevices } = linux;
  if (hooks || netDevices || hasOwnNetworks(record.request)) {
    const { pid } = await shim.main.created;
    if (hasOwnNetworks(record.request)) await attachNetworks(context, record, pid);
    if (netDevices) giveNetDevices(pid, netDevices);
    await hooks?.created(pid);
  }
  shim.start();
  const started = await shim.main.started;
  await hooks?.started(started.pid);
  return started;
}

function explain(context: Context, record: ContainerRecord, plan: Plan, error: unknown): unknown {
  const doing = `start container ${record.name}`;
  const [command = ""] = record.args;
  const { log } = runtimePaths(context, record);
  const told = record.runtime ? explainRuntime(doing, record.runtime, command, error, log) : undefined;
  if (told || !(error instanceof SetupFailed)) return told ?? error;
  return explainFailure(doing, plan, command, error);
}

/**
 * Starts the container's process and returns once `execve` has succeeded. When it throws, the container is as it was, with
 * the reason in its state, and nothing of the attempt is left.
 */
export function startContainer(context: Context, container: Container, options: StartOptions = {}): Promise<void> {
  return container.lock.run(async () => {
    const { record } = container;
    if (options.byPolicy && (record.state.status !== "restarting" || context.closing)) return;
    const status = next(record.name, record.state.status, "start");
    const { trace } = options;
    const paths = containerPaths(context.layout, record.id, record.logFile);
    rmSync(paths.exit, { force: true });
    let shim: Shim | undefined;
    let plan: Plan | undefined;
    let hooks: ContainerHooks | undefined;
    try {
      const { cgroups, cgroupRoots } = context;
      record.cgroupPath = containerCgroup(cgroups.driver, cgroupRoots.own, record.id, record.request.cgroupParent);
      if (record.mounts?.length) await acquireVolumes(context, container);
      mountShm(context, record);
      checkLinks(context, record);
      const spec = withLinkVariables(context, record, container.takeSpec() ?? specOf(context, record));
      trace?.mark("specification");
      reserveRealtime(context, record, spec.linux?.resources);
      const join = cgroups.create(record.cgroupPath, spec.linux?.resources ?? {});
      trace?.mark("cgroup", context.facts.cgroup === "v2" ? floors.cgroupV2 : floors.cgroupV1);
      hooks = hooksOf(context, record, spec);
      const prepared = prepare(context, record, spec, join, options.size, hooks);
      plan = prepared.plan;
      trace?.mark("image and plan");
      try {
        const encoded = encode(plan);
        trace?.mark("encode");
        shim = await Shim.spawn({
          shimPath: context.shimPath,
          id: record.id.slice(0, 12),
          stateDir: paths.directory,
          plan: encoded,
          passedFds: prepared.passedFds,
        });
      } finally {
        prepared.release();
      }
      container.shim = shim;
      trace?.mark("spawn shim", floors.spawn);
      await options.beforeStart?.(shim);
      await container.admit(shim);
      const started = await begin(context, record, shim, spec, hooks);
      trace?.shim(await shim.main.created, started);
      record.state = {
        ...record.state,
        status,
        pid: started.pid,
        error: "",
        exitCode: 0,
        oomKilled: false,
        startedAt: rfc3339(nowNs()),
        finishedAt: NEVER,
      };
      record.bootId = context.bootId;
      Object.assign(record, { stoppedByHand: false, foundUnhealthy: false });
      if (record.healthcheck) record.health = startingHealth(record.health);
      if (!options.byPolicy) Object.assign(record, { restartCount: 0, restartDelayMs: 0 });
      context.table.update(record, false);
      trace?.mark("record");
    } catch (error) {
      container.shim = null;
      await shim?.kill(0, SIG.SIGKILL, true).catch(() => {}); // one that waits at `created` would wait for ever
      // a runtime must not go on with what is taken away
      if (record.runtime) await shim?.main.exited.catch(() => {});
      shim?.release();
      await deleteByRuntime(context, record);
      await detachNetworks(context, record.id);
      await afterStop(context, record);
      await context.cgroups.remove(record.cgroupPath).catch((reason: unknown) => context.log(`remove cgroup: ${reason}`));
      await releaseVolumes(context, container);
      unmountShm(context, record.id);
      const told = plan ? explain(context, record, plan, error) : error;
      record.state = {
        ...record.state,
        error: told instanceof Error ? told.message : String(told),
        exitCode: told instanceof StartFailed ? told.exitCode : 128,
      };
      note(context, record, false);
      throw told;
    } finally {
      hooks?.close();
    }
    tellJoined(context, record);
    context.events.emit("container", "start", record.id, describe(record));
    watchExit(context, container, shim);
  });
}

/** Records the container's end when it comes, and until then looks at its health, forwards and compresses its log. Also for a shim that an earlier engine spawned. */
export function watchExit(context: Context, container: Container, shim: Shim): void {
  const { health, healthcheck, state } = container.record;
  if (health && healthcheck) context.probes.after(container.id, untilNextCheck(health, healthcheck, state.startedAt, nowNs()));
  forwardLog(context, container, container.nextExit());
  watchRotation(context, container, shim);
  inBackground(context, `exit of ${container.id}`, async () => {
    const told = await shim.main.exited.catch(() => null);
    if (context.closing) return;
    await container.lock.run(() => {
      // the connection can break between the shim's record and its word
      const exit = told ?? readExit(context, container);
      return exit ? recordExit(context, container, exit) : recordLoss(context, container);
    });
  });
}

/** What the shim of the container's last run has recorded of its end. */
export function readExit(context: Context, container: Container): ReturnType<typeof decodeExitRecord> | undefined {
  try {
    return decodeExitRecord(readFileSync(containerPaths(context.layout, container.id).exit));
  } catch (error) {
    if (!isErrno(error, "ENOENT") && (error as NodeJS.ErrnoException).code !== "ENOENT")
      context.log(`exit record of ${container.id}: ${error}`);
    return undefined;
  }
}

/** Writes down how the container ended, tells everybody, and clears away what was made for its run. To be called under its lock. */
export async function recordExit(context: Context, container: Container, exit: Exit): Promise<void> {
  const { record } = container;
  const restart = restartAfter(record, exit.exitCode, exit.at);
  const status = next(record.name, record.state.status, restart ? "restart" : "exit");
  record.state = {
    ...record.state,
    status,
    pid: 0,
    exitCode: exit.exitCode,
    oomKilled: exit.oomKilled,
    finishedAt: rfc3339(exit.at),
  };
  if (!record.request.autoRemove) note(context, record, true);
  if (exit.oomKilled) context.events.emit("container", "oom", record.id, describe(record));
  await finish(context, container);
}

/** The shim is gone without a word. What is left of the container is killed: nobody would see its end. */
export async function recordLoss(context: Context, container: Container, reason?: string): Promise<void> {
  const { record } = container;
  await context.cgroups.kill(record.cgroupPath).catch((error: unknown) => context.log(`kill ${record.id}: ${error}`));
  const now = nowNs();
  const restart = restartAfter(record, 137, now);
  const error =
    reason ?? "its shim was killed or crashed; the container's processes were killed with it, their exit status is unknown";
  record.state = {
    ...record.state,
    status: next(record.name, record.state.status, restart ? "restart" : "lost"),
    pid: 0,
    exitCode: 137,
    error,
    finishedAt: rfc3339(now),
  };
  note(context, record, true);
  await finish(context, container);
}

/** What its restart policy says to its end, which is remembered. Who has ended is not healthy, as Docker has it. */
function restartAfter(record: ContainerRecord, exitCode: number, at: bigint): ReturnType<typeof afterExit> {
  const ranMs = Number(at - (parseRfc3339(record.state.startedAt) ?? at)) / 1e6;
  const then = afterExit(record, { exitCode, ranMs });
  if (record.health) record.health.status = "unhealthy";
  if (then) Object.assign(record, then);
  return then;
}

async function finish(context: Context, container: Container): Promise<void> {
  const { record } = container;
  context.probes.cancel(record.id);
  context.packs.cancel(record.id);
  container.shim?.release();
  container.shim = null;
  const tellLeft = tellLeftLater(context, record);
  await detachNetworks(context, record.id);
  await releaseVolumes(context, container);
  unmountShm(context, record.id);
  await afterStop(context, record);
  const { exitCode, startedAt, finishedAt, status } = record.state;
  const ran = Number((parseRfc3339(finishedAt) ?? 0n) - (parseRfc3339(startedAt) ?? 0n)) / 1e9;
  const execDuration = String(Math.max(0, Math.floor(ran)));
  context.events.emit("container", "die", record.id, { ...describe(record), execDuration, exitCode: String(exitCode) });
  tellLeft();
  if (record.request.autoRemove && !container.keptAtExit) {
    container.tellExit();
    await deleteContainer(context, container, true);
    return;
  }
  container.tellExit();
  await deleteByRuntime(context, record);
  await removeCgroup(context, record).catch((error: unknown) => context.log(`remove cgroup of ${record.id}: ${error}`));
  if (status === "restarting") context.restarts.after(record.id, record.restartDelayMs ?? 0);
}
