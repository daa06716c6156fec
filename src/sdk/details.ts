/** The engine's values as the SDK's. Pure. */
import type { ContainerInfo, Image, NetworkInfo, Published } from "../api/control/types.ts";
import { NEVER } from "../lib/time.ts";
import type { ContainerDetails, ContainerNetwork, ImageDetails, NetworkDetails, PublishedPort } from "./values.ts";

const happened = (time: string): string | null => (time === NEVER ? null : time);

export const publishedPort = ({ protocol, containerPort, hostIp, hostPort }: Published): PublishedPort => ({
  protocol,
  port: containerPort,
  host: hostIp,
  hostPort,
});

export function containerDetails(info: ContainerInfo): ContainerDetails {
  const { state, request, imageConfig } = info;
  return {
    id: info.id,
    name: info.name,
    image: info.image,
    imageId: info.imageId,
    created: info.created,
    status: state.status,
    pid: state.pid,
    exitCode: state.exitCode,
    oomKilled: state.oomKilled,
    error: state.error,
    startedAt: happened(state.startedAt),
    finishedAt: happened(state.finishedAt),
    restartCount: info.restartCount,
    command: info.args,
    env: mergedEnv(imageConfig?.Env ?? [], request.env ?? []),
    labels: { ...imageConfig?.Labels, ...request.labels },
    health: info.health,
    ports: info.ports.map(publishedPort),
    networkMode: request.network ?? null,
    networks: info.networks.map(containerNetwork),
    mounts: info.mounts.map(({ type, name, source, destination, readonly }) => ({
      type,
      ...(name === undefined ? {} : { name }),
      source,
      destination,
      readonly,
    })),
    isolation: info.isolation,
  };
}

function mergedEnv(...lists: readonly (readonly string[])[]): string[] {
  const values = new Map(lists.flat().map((line) => [line.split("=", 1)[0] as string, line]));
  return [...values.values()];
}

const containerNetwork = (endpoint: ContainerInfo["networks"][number]): ContainerNetwork => ({
  name: endpoint.networkName,
  id: endpoint.network,
  aliases: endpoint.aliases,
  ipv4: endpoint.attached?.ipv4 ?? null,
  ipv6: endpoint.attached?.ipv6 ?? null,
  mac: endpoint.attached?.mac ?? null,
  gateway: endpoint.attached?.ipv4Gateway ?? endpoint.attached?.ipv6Gateway ?? null,
});

export function imageDetails({ id, names, repoDigests, platform, size, config }: Image): ImageDetails {
  const { config: run } = config;
  return {
    id,
    names,
    repoDigests,
    platform,
    size,
    created: config.created ?? null,
    env: run.Env ?? [],
    entrypoint: run.Entrypoint ?? [],
    command: run.Cmd ?? [],
    workdir: run.WorkingDir ?? "",
    user: run.User ?? "",
    labels: run.Labels ?? {},
    ports: Object.keys(run.ExposedPorts ?? {}),
    volumes: Object.keys(run.Volumes ?? {}),
    layers: config.rootfs.diff_ids,
  };
}

export const networkDetails = (network: NetworkInfo): NetworkDetails => ({
  id: network.id,
  name: network.name,
  driver: network.driver,
  created: network.created,
  internal: network.internal,
  subnets: network.pools.map(({ subnet, gateway }) => ({ subnet, gateway: gateway || null })),
  labels: network.labels,
  containers: network.containers.map(({ id, name }) => ({ id, name })),
});
