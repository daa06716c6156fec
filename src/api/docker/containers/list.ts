import type { ContainerInfo, ContainerSummary, DiskUsage, Published } from "../../../engine/types.ts";
import { endpointSettings, mountPoint } from "../../shapes/container.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";

const portShape = ({ hostIp, hostPort, containerPort, protocol }: Published): object => ({
  IP: hostIp,
  PrivatePort: containerPort,
  PublicPort: hostPort,
  Type: protocol,
});

/** Those it serves and publishes nowhere. */
const unpublished = ({ request, imageConfig, ports }: ContainerInfo): object[] =>
  [...new Set([...Object.keys(imageConfig?.ExposedPorts ?? {}), ...(request.expose ?? [])])].flatMap((port) => {
    const [number, protocol = "tcp"] = port.split("/");
    const published = ports.some((one) => one.containerPort === Number(number) && one.protocol === protocol);
    return published ? [] : [{ PrivatePort: Number(number), Type: protocol }];
  });

function summaryShape(summary: ContainerSummary, info: ContainerInfo, usage: DiskUsage | undefined): object {
  const { request, networks } = info;
  const rw = usage?.containers.find(({ id }) => id === summary.id)?.size;
  const image = usage?.images.find(({ id }) => id === summary.imageId)?.size ?? 0;
  return {
    Id: summary.id,
    Names: summary.names.map((name) => `/${name}`),
    Image: summary.image,
    ImageID: summary.imageId,
    Command: summary.command,
    Created: summary.created,
    Ports: [...(summary.state === "running" ? unpublished(info) : []), ...summary.ports.map(portShape)],
    ...(rw === undefined ? {} : { SizeRw: rw, SizeRootFs: rw + image }),
    Labels: { ...info.imageConfig?.Labels, ...summary.labels },
    State: summary.state,
    Status: summary.status,
    HostConfig: { NetworkMode: request.network ?? request.networks?.[0]?.network ?? "bridge" },
    NetworkSettings: {
      Networks: Object.fromEntries(networks.map((endpoint) => [endpoint.networkName, endpointSettings(endpoint, info)])),
    },
    Mounts: info.mounts.map(mountPoint),
  };
}

export const list = operation({
  id: "ContainerList",
  tag: "Container",
  summary: "containers, newest first",
  needs: "read",
  method: "GET",
  path: "/containers/json",
  query: {
    all: q.bool("those that do not run, too"),
    limit: q.integer("the last so many, running or not"),
    size: q.bool("with what they take of the disk"),
    filters: q.filters(
      "ancestor before exited expose health id is-task label name network publish since status volume".split(" "),
    ),
  },
  answers: { 200: "containers" },
  run: ({ engine, query }) => {
    const { all, filters } = query;
    const limit = query.limit !== undefined && query.limit > 0 ? query.limit : undefined;
    const found = engine.list({ all, filters, limit });
    const usage = query.size ? engine.diskUsage() : undefined;
    return json(
      200,
      found.map((one) => summaryShape(one, engine.inspect(one.id), usage)),
    );
  },
});
