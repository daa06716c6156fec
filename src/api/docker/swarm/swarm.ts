/** Docker's swarm mode, which onggi has not: what dockerd answers while it is in none, so that clients see what they know. */
import { ApiError } from "../errors.ts";
import { type Operation, operation } from "../operation.ts";

/** dockerd's words, that clients look for. */
export const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const NOT_IN_ONE = "This node is not part of a swarm";
const NONE = "swarm mode is not supported: networks reach across hosts without it (onggi node join)";

const refusal = (id: string, target: string, status: 501 | 503, message: string, since?: string): Operation => {
  const [method = "", path = ""] = target.split(" ");
  return operation({
    id,
    tag: "Swarm",
    summary: "refused: there is no swarm",
    method: method as Operation["method"],
    path,
    needs: method === "GET" ? "read" : "admin",
    ...(since === undefined ? {} : { since }),
    answers: { [status]: message },
    differs: status === 501 ? "501: there is no swarm mode" : "503, as dockerd in no swarm",
    run: () => {
      throw new ApiError(status, message);
    },
  });
};

/** What only a manager answers: id, method and path, first version. */
const managers: readonly (readonly [id: string, target: string, since?: string])[] = [
  ["SwarmInspect", "GET /swarm"],
  ["SwarmUpdate", "POST /swarm/update"],
  ["SwarmUnlockkey", "GET /swarm/unlockkey"],
  ["SwarmUnlock", "POST /swarm/unlock"],
  ["NodeList", "GET /nodes"],
  ["NodeInspect", "GET /nodes/{id}"],
  ["NodeDelete", "DELETE /nodes/{id}"],
  ["NodeUpdate", "POST /nodes/{id}/update"],
  ["ServiceList", "GET /services"],
  ["ServiceCreate", "POST /services/create"],
  ["ServiceInspect", "GET /services/{id}"],
  ["ServiceDelete", "DELETE /services/{id}"],
  ["ServiceUpdate", "POST /services/{id}/update"],
  ["ServiceLogs", "GET /services/{id}/logs"],
  ["TaskList", "GET /tasks"],
  ["TaskInspect", "GET /tasks/{id}"],
  ["TaskLogs", "GET /tasks/{id}/logs"],
  ["SecretList", "GET /secrets", "1.25"],
  ["SecretCreate", "POST /secrets/create", "1.25"],
  ["SecretInspect", "GET /secrets/{id}", "1.25"],
  ["SecretDelete", "DELETE /secrets/{id}", "1.25"],
  ["SecretUpdate", "POST /secrets/{id}/update", "1.25"],
  ["ConfigList", "GET /configs", "1.30"],
  ["ConfigCreate", "POST /configs/create", "1.30"],
  ["ConfigInspect", "GET /configs/{id}", "1.30"],
  ["ConfigDelete", "DELETE /configs/{id}", "1.30"],
  ["ConfigUpdate", "POST /configs/{id}/update", "1.30"],
];

export const swarm: readonly Operation[] = [
  refusal("SwarmInit", "POST /swarm/init", 501, NONE),
  refusal("SwarmJoin", "POST /swarm/join", 501, NONE),
  refusal("SwarmLeave", "POST /swarm/leave", 503, NOT_IN_ONE),
  ...managers.map(([id, target, since]) => refusal(id, target, 503, NOT_A_MANAGER, since)),
];
