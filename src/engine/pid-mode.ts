/** `--pid`, and what can be said of `--ipc` and `--uts`: whose processes a container sees, and what else it shares. */
import { OnggiError } from "../lib/errors.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import type { ContainerRequest } from "./types.ts";

/** "container:NAME"; undefined for other modes. */
export const containerOfMode = (mode: string | undefined): string | undefined => /^container:(.+)$/s.exec(mode ?? "")?.[1];

/** The namespaces that a container can have of another one. */
export const joinedModes = ["network", "pid", "ipc"] as const;

export const joinsAny = (request: ContainerRequest): boolean =>
  joinedModes.some((mode) => containerOfMode(request[mode]) !== undefined);

/** Throws for modes that nobody knows, or that cannot be had here. */
export function checkModes(context: Context, { pid = "", ipc = "", uts = "", hostname }: ContainerRequest): void {
  const shared = containerOfMode(pid);
  if (shared !== undefined) findContainer(context, shared);
  else if (!["", "host", "private"].includes(pid))
    throw new OnggiError("pid_mode_invalid", `--pid: invalid PID mode ${JSON.stringify(pid)}`);
  const joined = containerOfMode(ipc);
  if (joined !== undefined) findContainer(context, joined);
  else if (!["", "host", "private", "shareable", "none"].includes(ipc))
    throw new OnggiError("ipc_mode_invalid", `--ipc: invalid IPC mode ${JSON.stringify(ipc)}`);
  if (!["", "host", "private"].includes(uts))
    throw new OnggiError("uts_mode_invalid", `--uts: invalid UTS mode ${JSON.stringify(uts)}`);
  if (uts === "host" && hostname) throw new OnggiError("uts_mode_invalid", "conflicting options: hostname and the UTS mode");
}

/** The pid namespace a container joins; undefined where it has one of its own, or the host's. Throws where it is not there. */
export function pidNamespaceOf(context: Context, { name, request }: ContainerRecord): string | undefined {
  const shared = containerOfMode(request.pid);
  if (shared === undefined) return undefined;
  const other = findContainer(context, shared);
  if (other.isUp) return `/proc/${other.record.state.pid}/ns/pid`;
  throw new OnggiError("pid_mode_invalid", `${name} sees the processes of container ${other.name}, which does not run`);
}

/**
 * To be called once the namespaces that a container joins are open: they were found by the number of a process, which is another's when
 * that one has ended. As long as its shim knows it to run nobody else has had the number. Throws where it runs no more.
 */
export async function checkJoined(context: Context, { name, request }: ContainerRecord): Promise<void> {
  for (const mode of joinedModes) {
    const reference = containerOfMode(request[mode]);
    if (reference === undefined) continue;
    const other = findContainer(context, reference);
    const [main] = (await other.shim?.status().catch(() => [])) ?? [];
    if (main?.state !== "running")
      throw new OnggiError(`${mode}_mode_invalid`, `${name} was to join container ${other.name}, which has just ended`);
  }
}
