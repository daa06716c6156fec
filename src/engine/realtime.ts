import type { LinuxResources } from "../oci/spec.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";

/** Has the engine's own group leave a container what it asks of realtime; what another group leaves is for whoever made that to say. */
export function reserveRealtime(
  { cgroups, cgroupRoots }: Pick<Context, "cgroups" | "cgroupRoots">,
  { cgroupPath, request }: ContainerRecord,
  resources: LinuxResources | undefined,
): void {
  if (request.cgroupParent === undefined && resources?.cpu?.realtimeRuntime)
    cgroups.reserveRealtime(cgroupRoots.own, cgroupPath, resources);
}
