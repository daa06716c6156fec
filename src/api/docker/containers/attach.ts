import type { RawStream } from "../../http/types.ts";
import { takeOverWebSocket } from "../../http/websocket.ts";
import { ApiError } from "../errors.ts";
import { type Call, empty, operation } from "../operation.ts";
import * as q from "../query.ts";
import { clientOf, detachKeysOf, streamType, takeOver } from "../streams.ts";

const query = {
  stream: q.bool("as they come"),
  logs: q.bool("first what the log has"),
  stdin: q.bool("its input"),
  stdout: q.bool("its output"),
  stderr: q.bool("its errors"),
  detachKeys: q.string("of a terminal: what is typed to leave (ctrl-p,ctrl-q)"),
};

type Asked = Pick<Call<"/{id}", typeof query, unknown>, "engine" | "path" | "query">;

/** What serves a client that attaches; `raw`: its streams are not framed. Throws before anything is sent what can be known. */
function attachmentOf(
  { engine, path, query }: Asked,
  raw: boolean,
): { tty: boolean; serve: (stream: RawStream) => Promise<void> } {
  const { id, request: asked, state } = engine.inspect(path.id);
  if (state.status === "paused") throw new ApiError(409, `container ${path.id} is paused, unpause the container before attach`);
  const { tty = false, stdinOnce: endsInput = false } = asked;
  const detachKeys = detachKeysOf(query.detachKeys);
  const serve = async (stream: RawStream): Promise<void> => {
    const client = clientOf(stream, { ...query, tty, detachKeys, endsInput, ...(raw ? { raw } : {}) });
    if (query.logs) {
      const encoder = new TextEncoder();
      for await (const entry of engine.logs(id, {}, stream.signal))
        if (query[entry.stream]) await client.output(entry.stream, encoder.encode(entry.text));
    }
    if (query.stream) await engine.attachNextRun(id, client);
  };
  return { tty, serve };
}

export const attach = operation({
  id: "ContainerAttach",
  tag: "Container",
  summary: "a container's streams, of this run or, if it does not run, of its next from the first byte on",
  needs: "admin",
  method: "POST",
  path: "/containers/{id}/attach",
  query,
  hijacks: true,
  answers: { 101: "the streams", 200: "the streams", 404: "no such container" },
  run: (call) => {
    const { tty, serve } = attachmentOf(call, false);
    return takeOver(call.request, streamType(tty, call.version), serve);
  },
});

export const attachWebSocket = operation({
  id: "ContainerAttachWebsocket",
  tag: "Container",
  summary: "a container's streams over a WebSocket, its output and errors in one",
  needs: "admin",
  method: "GET",
  path: "/containers/{id}/attach/ws",
  query,
  hijacks: true,
  answers: { 101: "the streams", 400: "not a request for a WebSocket", 404: "no such container" },
  run: (call) => takeOverWebSocket(call.request, attachmentOf(call, true).serve),
});

export const resize = operation({
  id: "ContainerResize",
  tag: "Container",
  summary: "tell a container's terminal its size",
  needs: "operate",
  method: "POST",
  path: "/containers/{id}/resize",
  query: { h: q.integer("rows"), w: q.integer("columns") },
  answers: { 200: "told", 404: "no such container", 409: "it does not run" },
  run: ({ engine, path, query }) => {
    engine.resize(path.id, sizeOf(query.h, query.w));
    return empty(200);
  },
});

/** Throws ApiError. */
export function sizeOf(rows: number | undefined, columns: number | undefined): { rows: number; columns: number } {
  if (rows === undefined || columns === undefined || Math.min(rows, columns) < 0 || Math.max(rows, columns) > 0xffff)
    throw new ApiError(400, "h and w must be numbers from 0 to 65535");
  return { rows, columns };
}
