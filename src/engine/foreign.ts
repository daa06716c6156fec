/**
 * Containers that another OCI runtime makes. Everything but the making is as for any container: the shim supervises, the cgroup,
 * the log and the exit record are ours.
 *
 * The container's directory is the bundle: `config.json`, `rootfs`, and below `runtime` what the runtime knows of the container
 * (its --root), which so is gone with the directory whatever is killed when. See compile-foreign.ts for the mounts.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../lib/errors.ts";
import type { Started } from "../native/protocol.ts";
import type { Shim } from "../native/shim.ts";
import type { Process, Spec } from "../oci/spec.ts";
import type { Plan } from "../plan/ops.ts";
import type { CgroupJoin } from "../runtime/cgroups/index.ts";
import { capabilityNames, compileForeignCreate } from "../runtime/index.ts";
import { close, createUserNamespace } from "../sys/index.ts";
import type { Size } from "./attach.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { attachNetworks } from "./networking.ts";
import { imageOf, rootOf, supervisionOf, withConsole } from "./prepare.ts";
import { callOf, inTime, runtimeCommand, runtimePaths } from "./runtime-command.ts";
import type { ForeignRuntime } from "./runtimes.ts";

const INIT = { pidPath: "init.pid", consolePath: "console.sock" } as const;

/** The plan that has the runtime make the container; makes nothing. The shim is passed the image, and then the user namespace. */
export function foreignPlan(
  context: Context,
  record: ContainerRecord,
  runtime: ForeignRuntime,
  spec: Spec,
  cgroup: CgroupJoin,
): { plan: Plan; passedFds: number[] } {
  const image = imageOf(context, record);
  const passedFds = image?.kind === "fd" ? [image.fd] : [];
  const supervision = supervisionOf(record);
  const consolePath = supervision.tty ? INIT.consolePath : null;
  const terminal = consolePath === null ? [] : ["--console-socket", consolePath];
  const { directory, log } = runtimePaths(context, record);
  const args = ["create", "--bundle", directory, "--pid-file", join(directory, INIT.pidPath), ...terminal, record.id];
  const plan = compileForeignCreate({
    process: spec.process as NonNullable<Spec["process"]>,
    linux: spec.linux ?? {},
    root: rootOf(context, record, image),
    facts: context.facts,
    cgroup,
    call: callOf(context, record, runtime, log, args),
    supervision: { ...supervision, runtime: { pidPath: INIT.pidPath, consolePath, started: false } },
    ...(spec.linux?.uidMappings ? { userns: passedFds.length } : {}),
  });
  return { plan, passedFds };
}

/** Makes the bundle, and the user namespace by which the image's files are shown; `release` closes that. */
export function makeBundle(
  context: Context,
  record: ContainerRecord,
  spec: Spec,
  size?: Size,
): { passedFds: number[]; release: () => void } {
  const { directory, config, state, log } = runtimePaths(context, record);
  // runc writes its pid file under this name first, and never over one that it left when it was killed
  const pidPart = join(directory, `.${INIT.pidPath}`);
  for (const path of [state, log, pidPart]) rmSync(path, { recursive: true, force: true });
  // crun takes no newer version than it knows; nothing newer is in it that a runtime has not said it can do
  const ociVersion = "1.0.2";
  const root = { ...spec.root, path: record.request.rootfs ?? "rootfs" };
  const { process } = withConsole(spec, size);
  const bundle = { ...spec, ociVersion, root, process: process && withHeldCapabilities(context, spec, process) };
  writeFileSync(config, JSON.stringify(bundle), { mode: 0o600 });
  const { uidMappings, gidMappings } = spec.linux ?? {};
  if (!uidMappings || !gidMappings) return { passedFds: [], release: () => {} };
  const userns = createUserNamespace(uidMappings, gidMappings);
  return { passedFds: [userns], release: () => close(userns) };
}

/** Without those that this host cannot give: runc and crun fail where the built-in runtime gives what there is. */
export function withHeldCapabilities({ facts }: Context, { linux }: Spec, process: Process): Process {
  const missing = new Set((facts.unavailableCaps ?? []).map((number) => capabilityNames[number]));
  // root of a new user namespace has all of them
  if (!process.capabilities || linux?.uidMappings || missing.size === 0) return process;
  const sets = Object.entries(process.capabilities) as [string, string[]][];
  const held = sets.map(([name, set]) => [name, set.filter((capability) => !missing.has(capability))]);
  return { ...process, capabilities: Object.fromEntries(held) };
}

/** Lets the runtime start what it has created. Returns once the process runs, or has run. */
export async function startByRuntime(
  context: Context,
  record: ContainerRecord,
  runtime: ForeignRuntime,
  shim: Shim,
): Promise<Started> {
  const { pid } = await inTime(`${runtime.name} create`, shim.main.created);
  await attachNetworks(context, record, pid);
  await runtimeCommand(context, record, runtime, ["start", record.id]);
  shim.start();
  // it may have ended, and the shim with it, before it could be noted as started
  const ended = shim.main.exited.then(() => ({ pid, at: process.hrtime.bigint() }));
  ended.catch(() => {});
  return Promise.race([shim.main.started.catch(() => ended), ended]);
}

/** Has the runtime forget a container that has ended, or end one that has not. Nothing when there is none. Never throws. */
export async function deleteByRuntime(context: Context, record: ContainerRecord): Promise<void> {
  if (!record.runtime) return;
  const { state } = runtimePaths(context, record);
  if (!existsSync(join(state, record.id))) return;
  try {
    await runtimeCommand(context, record, record.runtime, ["delete", "--force", record.id]);
  } catch (error) {
    context.log(`delete container ${record.id}: ${messageOf(error)}`);
  }
  rmSync(state, { recursive: true, force: true });
}
