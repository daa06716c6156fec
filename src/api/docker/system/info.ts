import { dockerInfo } from "../../shapes/info.ts";
import { json, operation } from "../operation.ts";

export const info = operation({
  id: "SystemInfo",
  tag: "System",
  summary: "the engine, its host and what lies on it",
  needs: "read",
  method: "GET",
  path: "/info",
  answers: { 200: "what there is" },
  run: async ({ engine }) => json(200, await dockerInfo(engine)),
});
