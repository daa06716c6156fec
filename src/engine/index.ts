/**
 * The engine: every use case of a container, over images, runtime, cgroups and shims.
 *
 * Terms. A **container** is a record of what was asked for and, while it is up, a shim with processes. A **request** is what a
 * client asks; it is kept whole and every start compiles it anew. See `state.ts` for the states.
 *
 * Life of an engine. `openEngine` takes the data root's lock, brings the record and the facts together, and returns; `close` lets
 * go of everything but the containers. Between any two instructions it may be killed: the next `openEngine` goes on.
 *
 *     const engine = await openEngine({ root: "/var/lib/onggi", run: "/run/onggi", ... });
 *     const container = await engine.create({ image: "busybox", command: ["echo", "hello"] });
 *     await engine.start(container.id);
 *     const { exitCode } = await engine.wait(container.id, "not-running");
 *     await engine.close();
 *
 * Guarantees. Requests on one container are serialised per container, never globally. What a call returned survives a power
 * cut. A call that throws has left nothing half-made.
 */
export type { ClientStreams, Size } from "./attach.ts";
export { applyChanges } from "./changes.ts";
export { type Configuration, checkConfiguration } from "./configuration.ts";
export { ContainerNotFound } from "./context.ts";
export { Engine } from "./engine.ts";
export type { LogEntry } from "./logs.ts";
export { type EngineOptions, LockHeld, openEngine } from "./open.ts";
export type { RuntimeOptions } from "./runtimes.ts";
export { ServiceManager } from "./service-manager.ts";
export { StartFailed } from "./start-failed.ts";
export { WrongState } from "./state.ts";
export { Trace } from "./trace.ts";
export type { StatsLook } from "./usage.ts";
