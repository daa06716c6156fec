/** Who is in a network, and its end. */
import { OnggiError } from "../../../lib/errors.ts";
import { endpointConfig } from "../containers/config.ts";
import { endpointOf } from "../containers/networking.ts";
import { ApiError } from "../errors.ts";
import { empty, json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { flag, object, text } from "../schema.ts";
import { isAtLeast } from "../versions.ts";

const gone = { 404: "no such network or container" } as const;

function named(container: string | undefined): string {
  if (!container) throw new ApiError(400, "invalid container name or ID: value is empty");
  return container;
}

export const connect = operation({
  id: "NetworkConnect",
  tag: "Network",
  summary: "put a container into one more network",
  needs: "operate",
  method: "POST",
  path: "/networks/{id}/connect",
  body: object({ Container: text("name or id"), EndpointConfig: endpointConfig }),
  answers: { 200: "it is in it", 403: "it is in it already, or the address is taken", 503: "no address is free", ...gone },
  differs: "LinkLocalIPs and driver options other than com.docker.network.endpoint.ifname are refused",
  run: async ({ engine, path, body, version }) => {
    const { MacAddress, ...rest } = body.EndpointConfig ?? {};
    // before that it was passed over, and clients send what they have read of another run
    const config = MacAddress && isAtLeast(version, "1.54") ? { ...rest, MacAddress } : rest;
    const container = named(body.Container);
    const { id, name, containers } = engine.networks.inspect(path.id);
    const other = engine.inspect(container);
    if (other.networks.some(({ network }) => network === id) || containers.some((one) => one.id === other.id))
      throw new ApiError(403, `endpoint with name ${other.name} already exists in network ${name}`);
    await engine.networks.connect(other.id, endpointOf(id, config));
    return empty(200);
  },
});

export const disconnect = operation({
  id: "NetworkDisconnect",
  tag: "Network",
  summary: "take a container out of a network",
  needs: "operate",
  method: "POST",
  path: "/networks/{id}/disconnect",
  body: object({ Container: text("name or id"), Force: flag("also one that is not there any more") }),
  answers: { 200: "it is out of it", ...gone },
  differs: "a container that is not in the network is 404, not 500",
  run: async ({ engine, path, body }) => {
    await engine.networks.disconnect(path.id, named(body.Container), body.Force ?? false);
    return empty(200);
  },
});

export const remove = operation({
  id: "NetworkDelete",
  tag: "Network",
  summary: "remove a network",
  needs: "operate",
  method: "DELETE",
  path: "/networks/{id}",
  answers: {
    204: "removed",
    403: "it is predefined, containers are in it, or networks are made after it",
    404: "no such network",
  },
  differs: "containers that do not run keep their network, too: they would not start without it",
  run: async ({ engine, path }) => {
    const { id, name, predefined, configOnly } = engine.networks.inspect(path.id);
    if (predefined) throw new ApiError(403, `${name} is a pre-defined network and cannot be removed`);
    try {
      await engine.networks.remove(id);
    } catch (error) {
      if (!(error instanceof OnggiError) || error.code !== "network_in_use") throw error;
      if (configOnly)
        throw new ApiError(403, `error while removing network: configuration network ${JSON.stringify(name)} is in use`);
      const inside = engine.list({ all: true, filters: { network: [id] } });
      const who = inside.map((one) => `name:"${one.names[0]}" id:"${one.id.slice(0, 12)}"`).join(", ");
      throw new ApiError(403, `error while removing network: network ${name} has active endpoints (${who})`);
    }
    return empty();
  },
});

export const prune = operation({
  id: "NetworkPrune",
  tag: "Network",
  summary: "remove networks that no container is in",
  needs: "operate",
  method: "POST",
  path: "/networks/prune",
  since: "1.25",
  query: { filters: q.filters(["until", "label", "label!"]) },
  answers: { 200: "names of those that are gone" },
  run: async ({ engine, query }) => {
    const { deleted } = await engine.networks.prune(query.filters);
    return json(200, { NetworksDeleted: deleted.length > 0 ? deleted : null });
  },
});
