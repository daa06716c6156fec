import { operation } from "../operation.ts";

const headers = {
  "Content-Type": "text/plain; charset=utf-8",
  "Cache-Control": "no-cache, no-store, must-revalidate",
  Pragma: "no-cache",
  "Builder-Version": "1",
  Swarm: "inactive",
};

const described = {
  tag: "System",
  summary: "whether the engine answers, and which versions of the API it speaks (in the headers)",
  path: "/_ping",
  answers: { 200: { description: '"OK"', content: "text/plain" } },
} as const;

export const ping = operation({
  ...described,
  id: "SystemPing",
  needs: "read",
  method: "GET",
  run: () => ({ status: 200, headers, body: "OK" }),
});

export const pingHead = operation({
  ...described,
  id: "SystemPingHead",
  needs: "read",
  method: "HEAD",
  run: () => ({ status: 200, headers, body: "OK" }),
});
