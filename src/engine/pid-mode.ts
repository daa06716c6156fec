/** `--pid`, `--ipc` and `--uts`: whose processes a container sees, and what else it shares. */
import { OnggiError } from "../lib/errors.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import type { ContainerRequest } from "./types.ts";

/** "container:NAME"; undefined for other modes. */
export const containerOfMode = (mode: string | undefined): string | undefined => /^container:(.+)$/s.exec(mode ?? "")?.[1];

/** Throws for modes that nobody knows, or that cannot be had here. */
export function checkModes(context: Context, { pid = "", ipc = "", uts = "", hostname }: ContainerRequest): void {
  const shared = containerOfMode(pid);
  if (shared !== undefined) findContainer(context, shared);
  else if (!["", "host", "private"].includes(pid))
    throw new OnggiError("pid_mode_invalid", `--pid: invalid PID mode ${JSON.stringify(pid)}`);
  if (containerOfMode(ipc) !== undefined)
    throw new OnggiError("ipc_mode_unsupported", `--ipc ${ipc}: another container's IPC namespace cannot be joined here`);
  if (!["", "host", "private", "shareable", "none"].includes(ipc))
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
