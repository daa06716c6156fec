import type { LogEntry } from "../../../engine/index.ts";
import { fixedWidth } from "../../../lib/time.ts";
import { ApiError } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";
import { framed, streamType } from "../streams.ts";

function tailOf(text: string | undefined): number | undefined {
  if (text === undefined || text === "all") return undefined;
  // as dockerd: what is no number is all
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

interface Form {
  readonly tty: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly timestamps: boolean;
  /** What goes with each line; empty: nothing is asked for. */
  readonly details: string;
}

async function* written(
  entries: AsyncIterable<LogEntry>,
  { tty, stdout, stderr, timestamps, details }: Form,
): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const { stream, time, text } of entries) {
    if (stream === "stdout" ? stdout : stderr)
      yield framed(tty, stream, encoder.encode(`${timestamps ? `${fixedWidth(time)} ` : ""}${details}${text}`));
  }
}

export const logs = operation({
  id: "ContainerLogs",
  tag: "Container",
  summary: "what a container has written",
  needs: "read",
  method: "GET",
  path: "/containers/{id}/logs",
  query: {
    follow: q.bool("go on with what it writes"),
    stdout: q.bool("its output"),
    stderr: q.bool("its errors"),
    since: q.string("from this moment on: Unix seconds with a fraction, RFC 3339, or a duration before now"),
    until: q.string("to this moment", { since: "1.35" }),
    timestamps: q.bool("with the moment before each line"),
    tail: q.string("so many last lines, or all"),
    details: q.bool("with what the log options labels and env add"),
  },
  answers: { 200: { description: "the log", content: "application/vnd.docker.multiplexed-stream" }, 404: "no such container" },
  run: ({ engine, path, query, version, signal }) => {
    const { id, request } = engine.inspect(path.id);
    if (!query.stdout && !query.stderr) throw new ApiError(400, "Bad parameters: you must choose at least one stream");
    const tty = request.tty ?? false;
    const tail = tailOf(query.tail);
    const details = query.details ? `${engine.logDetails(id)} ` : "";
    const entries = engine.logs(
      id,
      {
        follow: query.follow,
        ...(tail === undefined ? {} : { tail }),
        // 0 is what clients send for "from the beginning" and "to the end"
        ...(query.since === undefined || query.since === "0" ? {} : { since: query.since }),
        ...(query.until === undefined || query.until === "0" ? {} : { until: query.until }),
      },
      signal,
    );
    return {
      status: 200,
      headers: { "Content-Type": streamType(tty, version) },
      body: written(entries, { ...query, tty, details }),
    };
  },
});
