import { containerSizes, dockerContainer } from "../../shapes/container.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";

/** Of the default network alone, said again under Networks: gone from 1.52 on. */
const oldSettings = [
  ..."Bridge HairpinMode LinkLocalIPv6Address LinkLocalIPv6PrefixLen SecondaryIPAddresses SecondaryIPv6Addresses".split(" "),
  ..."EndpointID Gateway GlobalIPv6Address GlobalIPv6PrefixLen IPAddress IPPrefixLen IPv6Gateway MacAddress".split(" "),
];

export const inspect = operation({
  id: "ContainerInspect",
  tag: "Container",
  summary: "everything about a container",
  needs: "read",
  method: "GET",
  path: "/containers/{id}/json",
  query: { size: q.bool("with what it takes of the disk") },
  answers: { 200: "the container" },
  run: ({ engine, path, query, version }) => {
    const info = engine.inspect(path.id);
    const found = dockerContainer(info) as Record<string, unknown> & { NetworkSettings: Record<string, unknown> };
    const execs = engine.execs.of(info.id);
    if (execs.length > 0) found.ExecIDs = execs;
    if (query.size) Object.assign(found, containerSizes(info, engine.diskUsage()));
    if (isAtLeast(version, "1.52")) for (const name of oldSettings) delete found.NetworkSettings[name];
    return json(200, found);
  },
});
