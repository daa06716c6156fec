import { createHash } from "node:crypto";
import { goJson } from "./load/print.ts";
import { service as codec } from "./load/service.ts";
import type { Service } from "./project.ts";

/**
 * What tells a service from what it was before: containers with another hash are made anew. As Docker's compose makes it, so that
 * neither makes anew what the other has made: sha256 over the service's JSON, without how its image comes about, how many there
 * are, and what it waits for. References to services ("service:web" and in volumes_from) are containers by then
 * ("container:<id>").
 */
export function serviceHash(service: Service): string {
  const { build: _, pull_policy: __, scale: ___, depends_on: ____, profiles: _____, deploy, ...rest } = service;
  const { replicas: ______, ...others } = deploy ?? {};
  const counted = deploy === undefined ? rest : { ...rest, deploy: others };
  const printed = codec.print(counted, "docker");
  return createHash("sha256").update(goJson(printed)).digest("hex");
}
