import { ApiError } from "../errors.ts";
import { empty, operation } from "../operation.ts";
import * as q from "../query.ts";
import { clientOf, framed, streamType, takeOver } from "../streams.ts";

export const attach = operation({
  id: "ContainerAttach",
  tag: "Container",
  summary: "a container's streams, of this run or, if it does not run, of its next from the first byte on",
  needs: "admin",
  method: "POST",
  path: "/containers/{id}/attach",
  query: {
    stream: q.bool("as they come"),
    logs: q.bool("first what the log has"),
    stdin: q.bool("its input"),
    stdout: q.bool("its output"),
    stderr: q.bool("its errors"),
    detachKeys: q.string("not heeded: the keys are the client's"),
  },
  hijacks: true,
  answers: { 101: "the streams", 200: "the streams", 404: "no such container" },
  run: ({ engine, path, query, request, version }) => {
    const { id, request: asked, state } = engine.inspect(path.id);
    if (state.status === "paused") throw new ApiError(409, `container ${path.id} is paused, unpause the container before attach`);
    const tty = asked.tty ?? false;
    return takeOver(request, streamType(tty, version), async (stream) => {
      const client = clientOf(stream, { ...query, tty, endsInput: asked.stdinOnce ?? false });
      if (query.logs) {
        const encoder = new TextEncoder();
        for await (const entry of engine.logs(id, {}, stream.signal))
          if (query[entry.stream]) await stream.write(framed(tty, entry.stream, encoder.encode(entry.text)));
      }
      if (query.stream) await engine.attachNextRun(id, client);
    });
  },
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
