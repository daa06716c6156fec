/** `exec`: a further process in a running container. */
import { OnggiError } from "../lib/errors.ts";
import type { OneShot } from "../native/oneshot.ts";
import type { Process } from "../oci/spec.ts";
import type { Plan } from "../plan/ops.ts";
import type { CgroupJoin } from "../runtime/cgroups/index.ts";
import { compileExec } from "../runtime/compile-exec.ts";
import type { CompiledSeccomp } from "../runtime/seccomp/index.ts";
import { isErrno } from "../sys/errno.ts";
import { close } from "../sys/file.ts";
import { getegid, geteuid } from "../sys/process.ts";
import { Container } from "./container.ts";
import { withHome } from "./environment.ts";
import { handOver } from "./hand-over.ts";
import type { Host } from "./host.ts";
import { launch, release, waitExit } from "./launch.ts";
import { needsMapTools } from "./own-maps.ts";
import type { ProcessIdentity } from "./process.ts";
import { checkTerminal } from "./record.ts";
import { seccompOf, sendListener } from "./seccomp.ts";
import { noCgroup, nullStreams, supervision } from "./setup.ts";
import { ignoreSignals } from "./signals.ts";
import { copySize, proxyTerminal } from "./terminal.ts";
import type { ExecOptions } from "./types.ts";

/** The program's exit code; 0 with `detach`. */
export async function execInContainer(host: Host, front: OneShot, options: ExecOptions): Promise<number> {
  const container = Container.open(host, options.id, "none");
  try {
    const init = execTarget(container, options);
    return await runProcess(host, front, container, init, options);
  } finally {
    container.close();
  }
}

function execTarget(container: Container, { ignorePaused }: ExecOptions): ProcessIdentity {
  const status = container.status();
  if (status === "stopped" || status === "creating") {
    throw new OnggiError("not_running", `cannot exec in a ${status === "stopped" ? "stopped" : "half-made"} container`);
  }
  if (status === "paused" && !ignorePaused) {
    throw new OnggiError("container_paused", "cannot exec in a paused container (use --ignore-paused to override)");
  }
  return container.living();
}

async function runProcess(
  host: Host,
  front: OneShot,
  container: Container,
  init: ProcessIdentity,
  options: ExecOptions,
): Promise<number> {
  const { record } = container;
  const process = withHomeOf(execProcess(container, options), init, record.rootfs);
  checkTerminal(options, !!process.terminal, !!options.detach);
  const filter = await seccompOf(host, record.spec);
  const plan = compile(host, container, init, process, filter, options);
  const filtered = (pid: number, listener: number) => sendListener(record, "running", pid, listener);
  const created = launch(front, plan, [], { filtered });
  const master = handOver(options, created);
  try {
    if (!options.detach) {
      ignoreSignals();
      if (master !== null) copySize(master);
      front.wait({ subreaper: false, terminal: master !== null });
    }
    release(front, plan, { filtered });
    if (options.detach) {
      front.leave();
      return 0;
    }
    return master === null ? waitExit(front) : proxyTerminal(front, master);
  } finally {
    if (master !== null) close(master);
  }
}

function compile(
  host: Host,
  container: Container,
  init: ProcessIdentity,
  process: Process,
  filter: CompiledSeccomp | null,
  options: ExecOptions,
): Plan {
  const { spec } = container.record;
  const { cgroup } = container;
  return compileExec({
    process,
    target: {
      pid: init.pid,
      namespaces: (spec.linux?.namespaces ?? []).map(({ type }) => type),
      uidMappings: spec.linux?.uidMappings,
      cgroup: cgroup ? execCgroup(cgroup.manager.join(cgroup.path), cgroup.path, options.cgroups ?? []) : noCgroup,
    },
    facts: host.facts,
    supervision: supervision(!!process.terminal),
    seccompProgram: filter ?? undefined,
    setgroupsDenied: host.facts.unprivileged && !needsMapTools(spec.linux ?? {}, geteuid(), getegid()),
    standalone: { preserveFds: options.preserveFds ?? 0, nullStreams: nullStreams() },
  });
}

/** The container's own process with what was asked for over it. */
function execProcess(container: Container, { process: whole, overrides = { args: [] } }: ExecOptions): Process {
  const own = container.record.spec.process as Process;
  if (whole) return whole.capabilities ? whole : { ...whole, capabilities: own.capabilities ?? {} };
  const { args, cwd, env, terminal, user, additionalGids, capabilities, noNewPrivileges, apparmorProfile, selinuxLabel } =
    overrides;
  const { consoleSize: _, ...rest } = own;
  return {
    ...rest,
    args: [...args],
    terminal: terminal ?? false,
    ...(cwd === undefined ? {} : { cwd }),
    env: [...(own.env ?? []), ...(env ?? [])],
    user: {
      ...(own.user ?? { uid: 0, gid: 0 }),
      ...(user ? { uid: user.uid, ...(user.gid === undefined ? {} : { gid: user.gid }) } : {}),
      ...(additionalGids && additionalGids.length > 0 ? { additionalGids: [...additionalGids] } : {}),
    },
    ...(capabilities && capabilities.length > 0 ? { capabilities: withCapabilities(own, capabilities) } : {}),
    ...(noNewPrivileges ? { noNewPrivileges } : {}),
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
    ...(selinuxLabel === undefined ? {} : { selinuxLabel }),
  };
}

/** Added to the sets a program has; to the inheritable set only by a process.json that says so (CVE-2022-29162). */
function withCapabilities({ capabilities = {} }: Process, added: readonly string[]) {
  const plus = (names: readonly string[] = []) => [...new Set([...names, ...added])];
  return {
    ...capabilities,
    bounding: plus(capabilities.bounding),
    effective: plus(capabilities.effective),
    permitted: plus(capabilities.permitted),
  };
}

function withHomeOf(process: Process, init: ProcessIdentity, rootfs: string): Process {
  try {
    return withHome(process, `/proc/${init.pid}/root`);
  } catch (error) {
    // a process that waits to be started cannot be looked into without privileges; its root is the directory still
    if (isErrno(error, "EACCES", "EPERM")) return withHome(process, rootfs);
    throw error;
  }
}

/** "sub" in every hierarchy; "cpu,memory:sub" in those of these controllers. */
function execCgroup(own: CgroupJoin, path: string, asked: readonly string[]): CgroupJoin {
  let { cloneInto } = own;
  const tasks = [...own.tasks];
  for (const one of asked) {
    const colon = one.indexOf(":");
    const sub = one.slice(colon + 1).replace(/^\/+|\/+$/g, "");
    if (sub.split("/").includes("..")) throw new OnggiError("invalid_cgroup_path", `exec --cgroup ${one}: ".." leads out`);
    if (sub === "") continue;
    const controllers = colon < 0 ? null : one.slice(0, colon).split(",");
    own.tasks.forEach((file, i) => {
      if (controllers && !hasController(file, path, controllers)) return;
      tasks[i] = `${file.slice(0, -"tasks".length)}${sub}/tasks`;
    });
    if (cloneInto !== null && controllers === null) cloneInto = `${cloneInto}/${sub}`;
  }
  return { ...own, cloneInto, tasks };
}

function hasController(file: string, path: string, controllers: readonly string[]): boolean {
  const mountpoint = file.slice(0, file.length - `${path}/tasks`.length);
  const names = mountpoint.slice(mountpoint.lastIndexOf("/") + 1).split(",");
  return controllers.some((controller) => names.includes(controller));
}
