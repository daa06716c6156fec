import { dockerNetwork, networkSummary } from "../../shapes/network.ts";
import { ApiError } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";

export const list = operation({
  id: "NetworkList",
  tag: "Network",
  summary: "networks",
  needs: "read",
  method: "GET",
  path: "/networks",
  query: { filters: q.filters("dangling driver id label name scope type".split(" ")) },
  answers: { 200: "networks; before 1.28 with who is in them" },
  run: ({ engine, query, version }) => {
    const found = engine.networks.list(query.filters);
    if (!isAtLeast(version, "1.28"))
      return json(
        200,
        found.map(({ id }) => dockerNetwork(engine.networks.inspect(id))),
      );
    // an empty map for clients that expect the field
    const more = isAtLeast(version, "1.52") ? {} : { Containers: {} };
    return json(
      200,
      found.map((network) => ({ ...networkSummary(network), ...more })),
    );
  },
});

export const inspect = operation({
  id: "NetworkInspect",
  tag: "Network",
  summary: "everything about a network",
  needs: "read",
  method: "GET",
  path: "/networks/{id}",
  query: {
    verbose: q.bool("with services of a swarm: there are none", false, { since: "1.28" }),
    scope: q.string("its scope, or it is not found", { since: "1.31" }),
  },
  answers: { 200: "the network", 404: "no such network" },
  differs: "Onggi says the interface and its MTU",
  run: ({ engine, path, query, version }) => {
    const { Status, ...rest } = dockerNetwork(engine.networks.inspect(path.id));
    const found = isAtLeast(version, "1.52") ? { ...rest, Status } : rest;
    if (query.scope !== undefined && query.scope !== found.Scope) throw new ApiError(404, `network ${path.id} not found`);
    return json(200, found);
  },
});
