/** What is told of the networks and volumes that a container has while it runs, as Docker tells it. */
import type { Network } from "../networks/types.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { networkMode } from "./network-mode.ts";
import { endpointsOf } from "./networking.ts";

type Told = readonly [type: "network" | "volume", action: string, id: string, attributes: Record<string, string>];

/** None where it is gone: that keeps no container's end from being told. */
function networkOf(context: Context, reference: string): Network[] {
  try {
    return [context.networks.get(reference)];
  } catch {
    return [];
  }
}

/** Those of CNI plugins are none of ours. */
function networksOf(context: Context, record: ContainerRecord): Network[] {
  const { kind } = networkMode(record.request);
  if (kind === "none" || kind === "host") return networkOf(context, kind);
  if (kind !== "networks") return [];
  return endpointsOf(context, record).flatMap(({ attached, network }) => (attached ? networkOf(context, network) : []));
}

const ofNetworks = (context: Context, record: ContainerRecord, action: "connect" | "disconnect"): Told[] =>
  networksOf(context, record).map(({ id, name, driver }): Told => {
    return ["network", action, id, { container: record.id, name, type: driver }];
  });

const volumesOf = ({ mounts = [] }: ContainerRecord) => mounts.filter(({ type }) => type === "volume");

const tell = (context: Context, told: readonly Told[]): void => {
  for (const [type, action, id, attributes] of told) context.events.emit(type, action, id, attributes);
};

/** Of a container that has just been started. */
export function tellJoined(context: Context, record: ContainerRecord): void {
  const mounted = volumesOf(record).map(({ name = "", destination, readonly }): Told => {
    const attributes = { container: record.id, destination, driver: "local", propagation: "", "read/write": String(!readonly) };
    return ["volume", "mount", name, attributes];
  });
  tell(context, [...ofNetworks(context, record, "connect"), ...mounted]);
}

/** To be called while it still has them; what is returned tells that it has them no more. */
export function tellLeftLater(context: Context, record: ContainerRecord): () => void {
  const left = ofNetworks(context, record, "disconnect");
  const unmounted = volumesOf(record).map(
    ({ name = "" }): Told => ["volume", "unmount", name, { container: record.id, driver: "local" }],
  );
  return () => tell(context, [...left, ...unmounted]);
}
