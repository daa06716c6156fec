/** Seccomp filters, and the agents that answer for them (config-linux.md, "Seccomp"). */
import { OnggiError } from "../lib/errors.ts";
import type { Spec } from "../oci/spec.ts";
import { hookState } from "../runtime/hooks.ts";
import type { CompiledSeccomp } from "../runtime/seccomp/index.ts";
import type { ContainerRecord } from "./directory.ts";
import type { Host } from "./host.ts";
import { sendDescriptor } from "./sockets.ts";
import type { Status } from "./types.ts";

const NEW_LISTENER = 8;

/** Null without a filter; the compiler is loaded for those that have one. */
export async function seccompOf(host: Host, { linux }: Spec): Promise<CompiledSeccomp | null> {
  const section = linux?.seccomp;
  if (!section) return null;
  const { compileSeccomp } = await import("../runtime/seccomp/index.ts");
  const program = compileSeccomp(section, { cacheDir: `${host.root}/.cache` });
  if (program.flags & NEW_LISTENER && !section.listenerPath) {
    throw new OnggiError("invalid_spec", "linux.seccomp.listenerPath: is missing; SCMP_ACT_NOTIFY needs an agent");
  }
  return program;
}

/** The container process state, with the listener (runtime-spec, "The Container Process State"). */
export function sendListener(record: ContainerRecord, status: Status, pid: number, listener: number): void {
  const { listenerPath = "", listenerMetadata } = record.spec.linux?.seccomp ?? {};
  const state = {
    ociVersion: record.spec.ociVersion,
    fds: ["seccompFd"],
    pid,
    ...(listenerMetadata === undefined ? {} : { metadata: listenerMetadata }),
    state: hookState(record, status, pid),
  };
  sendDescriptor("seccomp agent", listenerPath, JSON.stringify(state), listener);
}
