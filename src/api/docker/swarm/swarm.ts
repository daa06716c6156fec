/** What Docker answers where no swarm is: clients ask, to find out whether there is one. */
import { ApiError } from "../errors.ts";
import { json, type Operation, operation } from "../operation.ts";

type Route = readonly [id: string, method: Operation["method"], path: string, since?: string];

const ofManagers: readonly Route[] = [
  ["SwarmInspect", "GET", "/swarm"],
  ["SwarmUnlockkey", "GET", "/swarm/unlockkey"],
  ["SwarmUpdate", "POST", "/swarm/update"],
  ["ServiceList", "GET", "/services"],
  ["ServiceCreate", "POST", "/services/create"],
  ["ServiceInspect", "GET", "/services/{id}"],
  ["ServiceDelete", "DELETE", "/services/{id}"],
  ["ServiceUpdate", "POST", "/services/{id}/update"],
  ["ServiceLogs", "GET", "/services/{id}/logs"],
  ["NodeList", "GET", "/nodes"],
  ["NodeInspect", "GET", "/nodes/{id}"],
  ["NodeDelete", "DELETE", "/nodes/{id}"],
  ["NodeUpdate", "POST", "/nodes/{id}/update"],
  ["TaskList", "GET", "/tasks"],
  ["TaskInspect", "GET", "/tasks/{id}"],
  ["TaskLogs", "GET", "/tasks/{id}/logs"],
  ["SecretList", "GET", "/secrets", "1.25"],
  ["SecretCreate", "POST", "/secrets/create", "1.25"],
  ["SecretInspect", "GET", "/secrets/{id}", "1.25"],
  ["SecretDelete", "DELETE", "/secrets/{id}", "1.25"],
  ["SecretUpdate", "POST", "/secrets/{id}/update", "1.25"],
  ["ConfigList", "GET", "/configs", "1.30"],
  ["ConfigCreate", "POST", "/configs/create", "1.30"],
  ["ConfigInspect", "GET", "/configs/{id}", "1.30"],
  ["ConfigDelete", "DELETE", "/configs/{id}", "1.30"],
  ["ConfigUpdate", "POST", "/configs/{id}/update", "1.30"],
];

const refusing = ([id, method, path, since]: Route, status: number, summary: string, message: string): Operation =>
  operation({
    ...{ id, tag: "Swarm", summary, method, path },
    ...(since === undefined ? {} : { since }),
    answers: { [status]: "always" },
    run: () => {
      throw new ApiError(status, message);
    },
  });

const noManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const noMode =
  "swarm mode is not served: networks reach across hosts without it (onggi node join), services are Kubernetes' part";

export const swarm: readonly Operation[] = [
  ...ofManagers.map((route) => refusing(route, 503, "there is no swarm", noManager)),
  refusing(["SwarmLeave", "POST", "/swarm/leave"], 503, "there is no swarm", "This node is not part of a swarm"),
  refusing(["SwarmUnlock", "POST", "/swarm/unlock"], 503, "there is no swarm", "This node is not part of a swarm"),
  refusing(["SwarmInit", "POST", "/swarm/init"], 501, "swarm mode is not served", noMode),
  refusing(["SwarmJoin", "POST", "/swarm/join"], 501, "swarm mode is not served", noMode),
];

export const pluginList = operation({
  id: "PluginList",
  tag: "Plugin",
  summary: "plugins: there are none",
  method: "GET",
  path: "/plugins",
  since: "1.25",
  answers: { 200: "an empty list" },
  run: () => json(200, []),
});
