import { rfc3339 } from "../lib/time.ts";
import { systemPaths } from "../runtime/index.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { rangeOf } from "./idmap.ts";
import { containerPaths } from "./layout.ts";
import { linkTexts } from "./links.ts";
import { endpointsOf, publishedBy } from "./networking.ts";
import { BUILT_IN } from "./runtimes.ts";
import type { ContainerInfo, ImageConfig } from "./types.ts";

export function imageConfig({ images }: Context, id: string): ImageConfig["config"] | null {
  try {
    return id === "" ? null : images.get(id).config.config;
  } catch {
    return null;
  }
}

export function inspectContainer(context: Context, { record }: Container): ContainerInfo {
  return {
    id: record.id,
    name: record.name,
    created: rfc3339(BigInt(record.createdNs)),
    image: record.request.image,
    imageId: record.imageId,
    ...(record.snapshot === undefined ? {} : { snapshot: record.snapshot }),
    args: [...record.args],
    state: { ...record.state },
    directory: containerPaths(context.layout, record.id).directory,
    imageConfig: imageConfig(context, record.imageId),
    restartCount: record.restartCount ?? 0,
    health: record.health ?? null,
    healthcheck: record.healthcheck ?? null,
    request: record.request,
    mounts: [...(record.mounts ?? [])],
    systemPaths: systemPaths(record.request),
    isolation: { userns: record.slot !== null, reason: record.isolationReason },
    logPath: record.request.log?.driver === "none" ? "" : containerPaths(context.layout, record.id, record.logFile).log,
    idMap: record.slot === null ? null : rangeOf(record.slot),
    cgroupPath: record.cgroupPath,
    runtime: record.runtime?.name ?? BUILT_IN,
    links: linkTexts(context, record),
    networks: [...endpointsOf(context, record)].sort((a, b) => (a.networkName < b.networkName ? -1 : 1)),
    ports: [...publishedBy(context, record)],
  };
}
