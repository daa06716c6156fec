/** Docker's managed plugins, which onggi has not: none is there, and none can be had. */
import { ApiError } from "../errors.ts";
import { json, type Operation, operation } from "../operation.ts";
import * as q from "../query.ts";

const NONE = "plugins are not supported: network and volume drivers are built in";

const list = operation({
  id: "PluginList",
  needs: "read",
  tag: "Plugin",
  summary: "plugins: none",
  method: "GET",
  path: "/plugins",
  since: "1.25",
  query: { filters: q.filters(["capability", "enable"]) },
  answers: { 200: "an empty list" },
  run: () => json(200, []),
});

const wordsOf = (target: string): [Operation["method"], string] => target.split(" ") as [Operation["method"], string];

/** What would bring a plugin here. */
const refusal = (id: string, target: string): Operation => {
  const [method, path] = wordsOf(target);
  return operation({
    ...{ id, tag: "Plugin", needs: "admin", method, path, since: "1.25" },
    summary: "refused: there are no plugins",
    answers: { 501: NONE },
    differs: "501: there are no plugins",
    run: () => {
      throw new ApiError(501, NONE);
    },
  });
};

/** What would do something with one that is here. */
const missing = (id: string, target: string, since = "1.25"): Operation => {
  const [method, path] = wordsOf(target);
  return operation({
    ...{ id, tag: "Plugin", needs: method === "GET" ? "read" : "admin", method, path: path as "/plugins/{name...}", since },
    summary: "not found: there are no plugins",
    answers: { 404: "no such plugin" },
    differs: "always 404: there are no plugins",
    run: ({ path: { name } }) => {
      throw new ApiError(404, `plugin "${name}" not found`);
    },
  });
};

export const plugins: readonly Operation[] = [
  list,
  refusal("GetPluginPrivileges", "GET /plugins/privileges"),
  refusal("PluginPull", "POST /plugins/pull"),
  refusal("PluginCreate", "POST /plugins/create"),
  missing("PluginInspect", "GET /plugins/{name...}/json"),
  missing("PluginDelete", "DELETE /plugins/{name...}"),
  missing("PluginEnable", "POST /plugins/{name...}/enable"),
  missing("PluginDisable", "POST /plugins/{name...}/disable"),
  missing("PluginUpgrade", "POST /plugins/{name...}/upgrade", "1.26"),
  missing("PluginPush", "POST /plugins/{name...}/push"),
  missing("PluginSet", "POST /plugins/{name...}/set"),
];
