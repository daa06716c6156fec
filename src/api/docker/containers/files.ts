/** What a container's files have become, and which processes it has. */
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";

const kinds = { C: 0, A: 1, D: 2 } as const;

export const changes = operation({
  id: "ContainerChanges",
  tag: "Container",
  summary: "what differs from the image: 0 changed, 1 added, 2 deleted",
  needs: "read",
  method: "GET",
  path: "/containers/{id}/changes",
  answers: { 200: "paths", 404: "no such container" },
  run: async ({ engine, path }) => {
    const found = await engine.diff(path.id);
    return json(200, found.length === 0 ? null : found.map(({ kind, path: at }) => ({ Path: at, Kind: kinds[kind] })));
  },
});

export const exportFiles = operation({
  id: "ContainerExport",
  tag: "Container",
  summary: "all files of a container as a tar",
  needs: "admin",
  method: "GET",
  path: "/containers/{id}/export",
  answers: { 200: { description: "a tar", content: "application/octet-stream" }, 404: "no such container" },
  run: ({ engine, path, signal }) => {
    const { id } = engine.inspect(path.id);
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const writer = writable.getWriter();
    engine
      .export(id, async (chunk) => {
        signal.throwIfAborted();
        // the exporter uses its buffer again
        await writer.write(Buffer.from(chunk));
      })
      .then(
        () => writer.close(),
        (error: unknown) => writer.abort(error),
      )
      .catch(() => {});
    return { status: 200, headers: { "Content-Type": "application/octet-stream" }, body: readable };
  },
});

export const top = operation({
  id: "ContainerTop",
  tag: "Container",
  summary: "the processes of a container, as ps(1) shows them",
  needs: "read",
  method: "GET",
  path: "/containers/{id}/top",
  query: { ps_args: q.string("words for ps; absent: -ef") },
  answers: { 200: "titles and lines", 404: "no such container", 409: "it does not run" },
  run: async ({ engine, path, query }) => {
    const { titles, processes } = await engine.top(path.id, query.ps_args?.split(/\s+/).filter(Boolean) ?? []);
    return json(200, { Titles: titles, Processes: processes });
  },
});
