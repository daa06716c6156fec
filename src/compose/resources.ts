import type { NetworkRequest, Pool } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { omitAbsent } from "../lib/tables.ts";
import { codeOf, type Host, told } from "./host.ts";
import { COMPOSE_VERSION, label } from "./labels.ts";
import type { ResourceStep } from "./plan.ts";
import type { Project, ProjectNetwork } from "./project.ts";

/** A project's networks and volumes. */

export async function makeVolume(host: Host, project: Project, { key, kind, hash }: ResourceStep): Promise<void> {
  if (kind === "keep") return;
  const { name, driver, driver_opts, labels } = project.volumes[key]!;
  await told(host, `Volume ${name}`, ["Creating", "Created"], () =>
    host.call("volumeCreate", {
      name,
      labels: { ...labels, ...ownLabels(project, label.volume, key, hash) },
      ...omitAbsent({ driver, options: driver_opts }),
    }),
  );
}

/** With `recreate` containers leave it, and it is made anew. */
export async function makeNetwork(host: Host, project: Project, { key, kind, hash }: ResourceStep): Promise<void> {
  if (kind === "keep") return;
  const network = project.networks[key]!;
  const id = `Network ${network.name}`;
  if (kind === "recreate") await told(host, id, ["Removing", "Removed"], () => dissolve(host, network.name));
  const labels = { ...network.labels, ...ownLabels(project, label.network, key, hash) };
  await told(host, id, ["Creating", "Created"], () => host.call("networkCreate", requestOf(network, key, labels)));
}

const ownLabels = (project: Project, kind: string, key: string, hash: string): Record<string, string> => ({
  [label.project]: project.name,
  [kind]: key,
  [label.version]: COMPOSE_VERSION,
  [label.settings]: hash,
});

async function dissolve(host: Host, network: string): Promise<void> {
  const { containers } = await host.call("list", { all: true, filters: { network: [network] } });
  await Promise.all(containers.map(({ id }) => host.call("networkDisconnect", { network, container: id, force: true })));
  await host.call("networkRemove", { network });
}

function requestOf(network: ProjectNetwork, key: string, labels: Record<string, string>): NetworkRequest {
  const { name, driver, driver_opts, ipam, internal, enable_ipv4, enable_ipv6 } = network;
  if ((ipam?.driver ?? "default") !== "default")
    throw new OnggiError(
      "compose_unsupported",
      `network ${key}: ipam.driver ${ipam?.driver} is not supported: addresses are the engine's`,
    );
  const pools = ipam?.config?.flatMap(({ subnet, ip_range, gateway, aux_addresses }): Pool[] => {
    if (subnet === undefined) {
      if (ip_range === undefined && gateway === undefined && aux_addresses === undefined) return [];
      throw new OnggiError("compose_invalid", `network ${key}: ipam.config says something of a subnet: give that, too`);
    }
    return [{ subnet, ...omitAbsent({ range: ip_range, gateway, reserved: aux_addresses }) }];
  });
  return {
    name,
    labels,
    ...omitAbsent({
      driver: driver === "default" ? undefined : driver,
      options: driver_opts,
      internal,
      ipv4: enable_ipv4,
      ipv6: enable_ipv6,
      pools: pools && pools.length > 0 ? pools : undefined,
    }),
  };
}

/** Removes a network of a project; one that others are in is left, and that is told. */
export async function removeNetwork(host: Host, name: string): Promise<void> {
  await removed(host, `Network ${name}`, ["network_not_found"], async () => {
    try {
      await host.call("networkRemove", { network: name });
      return "Removed";
    } catch (error) {
      if (codeOf(error) !== "network_in_use") throw error;
      return "Resource is still in use";
    }
  });
}

export async function removeVolume(host: Host, name: string): Promise<void> {
  await removed(host, `Volume ${name}`, ["volume_not_found"], async () => {
    try {
      await host.call("volumeRemove", { volume: name });
      return "Removed";
    } catch (error) {
      if (codeOf(error) !== "volume_in_use") throw error;
      return "Resource is still in use";
    }
  });
}

/** @param gone codes that say it is not there any more */
export async function removed(host: Host, id: string, gone: readonly string[], work: () => Promise<string>): Promise<void> {
  host.tell({ id, text: "Removing", status: "working" });
  try {
    const text = await work();
    host.tell({ id, text, status: text === "Removed" ? "done" : "warning" });
  } catch (error) {
    if (gone.includes(String(codeOf(error)))) return host.tell({ id, text: "Removed", status: "done" });
    host.tell({ id, text: "Error", status: "error" });
    throw error;
  }
}
