/** From one state to another. */

import { ApiError } from "../errors.ts";
import { empty, json, operation } from "../operation.ts";
import * as q from "../query.ts";

const gone = { 404: "no such container" } as const;
const seconds = "seconds until it is killed; absent: what it was made with; -1: never";

export const start = operation({
  id: "ContainerStart",
  tag: "Container",
  summary: "start a container",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/start",
  query: { detachKeys: q.string("not heeded: the keys are the client's") },
  answers: { 204: "it runs", 304: "it ran already", ...gone },
  run: async ({ engine, path }) => {
    const { id, state } = engine.inspect(path.id);
    if (state.status === "running") return empty(304);
    if (state.status === "paused") throw new ApiError(409, "cannot start a paused container, try unpause instead");
    await engine.start(id);
    return empty();
  },
});

export const stop = operation({
  id: "ContainerStop",
  tag: "Container",
  summary: "ask a container to end, and kill it if it does not",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/stop",
  query: { t: q.integer(seconds), signal: q.string("instead of its stop signal", { since: "1.42" }) },
  answers: { 204: "it has ended", 304: "it did not run", ...gone },
  run: async ({ engine, path, query }) => {
    const { id, state } = engine.inspect(path.id);
    if (!["running", "paused", "restarting"].includes(state.status)) return empty(304);
    await engine.stop(id, query.signal, query.t);
    return empty();
  },
});

export const restart = operation({
  id: "ContainerRestart",
  tag: "Container",
  summary: "stop a container if it runs, and start it",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/restart",
  query: { t: q.integer(seconds), signal: q.string("instead of its stop signal", { since: "1.42" }) },
  answers: { 204: "it runs again", ...gone },
  run: async ({ engine, path, query }) => {
    await engine.restart(path.id, query.signal, query.t);
    return empty();
  },
});

export const kill = operation({
  id: "ContainerKill",
  tag: "Container",
  summary: "send a signal to a container's first process",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/kill",
  query: { signal: q.string("a name or a number; absent: KILL") },
  answers: { 204: "sent", 409: "it does not run", ...gone },
  run: async ({ engine, path, query }) => {
    await engine.kill(path.id, query.signal);
    return empty();
  },
});

export const pause = operation({
  id: "ContainerPause",
  tag: "Container",
  summary: "freeze the processes of a container",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/pause",
  answers: { 204: "frozen", 409: "it does not run, or is frozen", ...gone },
  run: async ({ engine, path }) => {
    await engine.pause(path.id);
    return empty();
  },
});

export const unpause = operation({
  id: "ContainerUnpause",
  tag: "Container",
  summary: "let the processes of a container go on",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/unpause",
  answers: { 204: "they go on", 409: "it is not frozen", ...gone },
  run: async ({ engine, path }) => {
    await engine.unpause(path.id);
    return empty();
  },
});

export const rename = operation({
  id: "ContainerRename",
  tag: "Container",
  summary: "give a container another name",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/rename",
  query: { name: q.string("the new one") },
  answers: { 204: "renamed", 409: "the name is in use", ...gone },
  run: async ({ engine, path, query }) => {
    if (query.name === undefined) throw new ApiError(400, "new name cannot be empty");
    await engine.rename(path.id, query.name);
    return empty();
  },
});

export const remove = operation({
  id: "ContainerDelete",
  tag: "Container",
  summary: "remove a container",
  needs: "operate",
  method: "DELETE",
  path: "/containers/{id}",
  query: {
    v: q.bool("with its anonymous volumes"),
    force: q.bool("kill it if it runs"),
    link: q.bool("a link alone: refused, it is said when a container is made"),
  },
  answers: { 204: "removed", 409: "it runs", ...gone },
  differs: "link is refused",
  run: async ({ engine, path, query }) => {
    if (query.link)
      throw new ApiError(400, "a link cannot be removed alone: remove the container, or disconnect it from the network");
    await engine.remove(path.id, query.force, query.v);
    return empty();
  },
});

export const prune = operation({
  id: "ContainerPrune",
  tag: "Container",
  summary: "remove containers that do not run",
  needs: "operate",
  method: "POST",
  path: "/containers/prune",
  since: "1.25",
  query: { filters: q.filters(["until", "label", "label!"]) },
  answers: { 200: "what is gone, and how many bytes" },
  run: async ({ engine, query }) => {
    const { deleted, reclaimed } = await engine.pruneContainers(query.filters);
    return json(200, { ContainersDeleted: deleted, SpaceReclaimed: reclaimed });
  },
});
