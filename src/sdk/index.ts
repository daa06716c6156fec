/**
 * onggi: containers for TypeScript.
 *
 *     import { onggi, port } from "onggi";
 *
 *     await using web = await onggi.run("nginx", [], { ports: [80], waitFor: port(80) });
 *     console.log(await fetch(`http://localhost:${await web.port(80)}/`));
 *
 * Terms. An **engine** makes containers; it is a process of its own, which this package starts where none answers. A **container** is a
 * group of processes made of an **image**. A **session** is what this process made through an engine: it goes when the process does.
 * docs/sdk.md has examples of everything.
 */
import type { Container } from "./container.ts";
import type { RunOptions } from "./containers.ts";
import { Engine } from "./engine.ts";
import type { ConnectOptions } from "./options.ts";

export type { Feed } from "./channel.ts";
export {
  Container,
  type ForkOptions,
  type Forks,
  Snapshot,
} from "./container.ts";
export { Containers, type ListOptions, type RunOptions } from "./containers.ts";
export { Engine, type EventOptions } from "./engine.ts";
export { type ErrorCode, ExecError, isOnggiError, OnggiError, WaitError } from "./errors.ts";
export { type ArchiveData, type CopyInOptions, type FileStat, Files, type WriteOptions } from "./files.ts";
export type { Filters } from "./filters.ts";
export { Images, type Operation, type PulledImage, type PullOptions, type PushedImage, type SaveOptions } from "./images.ts";
export type { LeaseReport } from "./lease.ts";
export { Logs } from "./logs.ts";
export { Network, type NetworkOptions, Networks } from "./networks.ts";
export type * from "./options.ts";
export { Output } from "./output.ts";
export { Input, type InputData, Process } from "./process.ts";
export { Snapshots } from "./snapshots.ts";
export type * from "./values.ts";
export { Volume, type VolumeOptions, Volumes } from "./volumes.ts";
export {
  all,
  any,
  command,
  exit,
  type HttpReadiness,
  health,
  http,
  type LogReadiness,
  log,
  port,
  type Readiness,
  type ReadyContainer,
  type Waiting,
} from "./wait.ts";

/** The engine that `onggi` on the command line means: of ONGGI_HOST, ONGGI_CONTEXT, ONGGI_RUN, `context use`, else this machine's. Nothing is done before it is first used. */
export const onggi: Engine = new Engine();

export default onggi;

/** An engine that answers; one is started where none does, unless `start` is false. Throws what `ping` throws. */
export async function connect(options: ConnectOptions = {}): Promise<Engine> {
  const engine = new Engine(options);
  await engine.ping({ signal: options.signal });
  return engine;
}

/** `onggi.run`: makes a container and starts it. */
export const run = (image: string, command?: readonly string[], options?: RunOptions): Promise<Container> =>
  onggi.run(image, command, options);
