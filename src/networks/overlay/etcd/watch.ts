/** One watch: a stream of what changes below a prefix. Source: etcd's documentation of the watch API, rpc.proto's WatchResponse. */
import type { Cluster } from "./cluster.ts";
import { decodeStatus, decodeWatchMessage, type Fields, parseJson, resultIn, type WatchMessage } from "./decode.ts";
import { prefixRange } from "./encode.ts";
import { EndpointFailure, failureOf, failureOfText, MAX_ANSWER, type MessageStream } from "./endpoint.ts";
import { EtcdError } from "./errors.ts";
import { mayPass, refusal, type Status, statusInReason } from "./status.ts";
import type { WatchBatch, WatchEvent, WatchOptions } from "./types.ts";

interface OpenWatch {
  readonly stream: MessageStream;
  readonly messages: AsyncGenerator<string>;
  readonly url: string;
}

/** As `Etcd.watch`. */
export async function* watchPrefix(
  cluster: Cluster,
  prefix: string,
  fromRevision: number,
  { signal, opened }: WatchOptions,
): AsyncGenerator<WatchBatch, void, void> {
  if (signal.aborted) return;
  let watch: OpenWatch | null = null;
  try {
    watch = await openWatch(cluster, prefix, fromRevision, signal);
    opened?.();
    yield* batches(watch, signal);
    throw new EtcdError("etcd_unavailable", `etcd at ${watch.url} has ended the watch`);
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof EndpointFailure)
      throw new EtcdError(error.code, `the watch of etcd at ${watch?.url} has ended: ${error.message}`);
    throw error;
  } finally {
    watch?.stream.close();
    await watch?.messages.return(undefined);
  }
}

/** Opens a stream and waits until etcd has confirmed the watch in it. */
function openWatch(cluster: Cluster, prefix: string, fromRevision: number, signal: AbortSignal): Promise<OpenWatch> {
  // What does not fit into one message comes in several.
  const body = { create_request: { ...prefixRange(prefix), start_revision: String(fromRevision), fragment: true } };
  return cluster.stream("/v3/watch", body, signal, async (stream, url) => {
    const messages = stream.messages();
    const { done, value } = await messages.next();
    if (done) throw new EndpointFailure("it has ended the watch at once");
    const message = decoded(value, stream.status);
    if ("code" in message) return { status: message };
    if (!message.created) throw new EndpointFailure("the watch was not confirmed", { code: "etcd_invalid_answer" });
    const end = endOf(message);
    if (end) return { status: end };
    stream.unlimit();
    return { value: { stream, messages, url } };
  });
}

async function* batches({ messages, url }: OpenWatch, signal: AbortSignal): AsyncGenerator<WatchBatch> {
  let events: WatchEvent[] = [];
  let size = 0;
  for await (const text of messages) {
    if (signal.aborted) return;
    const message = decoded(text, 200);
    const end = "code" in message ? message : endOf(message);
    if (end && mayPass(end)) throw new EtcdError("etcd_unavailable", `etcd at ${url} has ended the watch: ${end.message}`);
    if (end) throw refusal(end);
    const { events: more, fragment } = message as WatchMessage;
    for (const event of more) events.push(event);
    size += text.length;
    if (size > MAX_ANSWER) throw new EtcdError("etcd_invalid_answer", "etcd tells of more changes at once than onggi keeps");
    if (fragment) continue;
    const last = events.at(-1);
    if (last) yield { events, revision: last.type === "put" ? last.entry.modRevision : last.modRevision };
    events = [];
    size = 0;
  }
}

/** A message, or the error that is in its place. */
function decoded(text: string, httpStatus: number): WatchMessage | Status {
  try {
    const fields = parsed(text, httpStatus);
    const status = decodeStatus(fields);
    if (status) return status;
    if (httpStatus !== 200) throw new EndpointFailure(`answers with HTTP status ${httpStatus}`, { code: "etcd_invalid_answer" });
    return decodeWatchMessage(resultIn(fields));
  } catch (error) {
    throw error instanceof EtcdError ? failureOf(error) : error;
  }
}

function parsed(text: string, httpStatus: number): Fields {
  try {
    return parseJson(text);
  } catch {
    throw failureOfText(httpStatus, text);
  }
}

/** Why etcd ends the watch, if it does. */
function endOf({ canceled, compactRevision, cancelReason }: WatchMessage): Status | null {
  if (compactRevision > 0) return { code: 11, message: "etcdserver: mvcc: required revision has been compacted" };
  return canceled ? statusInReason(cancelReason) : null;
}
