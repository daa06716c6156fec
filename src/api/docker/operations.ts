/** Every operation of Docker's API that is served. Another one: see README.md. */
import { archive, archiveInfo, putArchive } from "./containers/archive.ts";
import { attach, attachWebSocket, resize } from "./containers/attach.ts";
import { create, update } from "./containers/create.ts";
import { changes, exportFiles, top } from "./containers/files.ts";
import { inspect } from "./containers/inspect.ts";
import { kill, pause, prune, remove, rename, restart, start, stop, unpause } from "./containers/lifecycle.ts";
import { list } from "./containers/list.ts";
import { logs } from "./containers/logs.ts";
import { stats } from "./containers/stats.ts";
import { wait } from "./containers/wait.ts";
import { execCreate, execInspect, execResize, execStart } from "./exec/exec.ts";
import { get, getAll, load } from "./images/archives.ts";
import { attestations } from "./images/attestations.ts";
import { build, buildPrune, session } from "./images/build.ts";
import { commit } from "./images/commit.ts";
import { history, inspect as inspectImage } from "./images/inspect.ts";
import { list as listImages } from "./images/list.ts";
import { create as createImage } from "./images/pull.ts";
import { push } from "./images/push.ts";
import { auth, distribution, search } from "./images/registry.ts";
import { prune as pruneImages, remove as removeImage, tag } from "./images/remove.ts";
import { connect, disconnect, prune as pruneNetworks, remove as removeNetwork } from "./networks/change.ts";
import { create as createNetwork } from "./networks/create.ts";
import { inspect as inspectNetwork, list as listNetworks } from "./networks/list.ts";
import type { Operation } from "./operation.ts";
import { plugins } from "./plugins/plugins.ts";
import { swarm } from "./swarm/swarm.ts";
import { df } from "./system/df.ts";
import { events } from "./system/events.ts";
import { info } from "./system/info.ts";
import { ping, pingHead } from "./system/ping.ts";
import { version } from "./system/version.ts";
import * as volume from "./volumes/volumes.ts";

const system: readonly Operation[] = [ping, pingHead, version, info, events, df];

const containers: readonly Operation[] = [
  ...[list, create, prune, inspect, remove, update, rename],
  ...[start, stop, restart, kill, pause, unpause, wait],
  ...[attach, attachWebSocket, resize, logs, stats, top, changes, exportFiles],
  ...[archiveInfo, archive, putArchive],
];

const execs: readonly Operation[] = [execCreate, execStart, execResize, execInspect];

const images: readonly Operation[] = [
  ...[listImages, search, getAll, load, createImage, pruneImages],
  ...[inspectImage, attestations, history, get, push, tag, removeImage, commit],
  ...[auth, distribution, build, buildPrune, session],
];

const networks: readonly Operation[] = [
  ...[listNetworks, inspectNetwork, createNetwork, removeNetwork],
  ...[connect, disconnect, pruneNetworks],
];

const volumes: readonly Operation[] = [
  ...[volume.list, volume.inspect, volume.create, volume.update],
  ...[volume.remove, volume.prune],
];

export const operations: readonly Operation[] = [
  ...[...system, ...containers, ...execs, ...images],
  ...[...networks, ...volumes, ...swarm, ...plugins],
];
