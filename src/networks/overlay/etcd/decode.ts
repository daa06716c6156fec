/**
 * Answers of etcd's JSON gateway: nothing in them is believed before it was looked at. What is zero, false or empty is left out by
 * etcd; bytes are base64, 64-bit integers text. Pure. Source: etcd's api/etcdserverpb/rpc.proto, api/mvccpb/kv.proto.
 */
import { printable } from "../../../lib/printable.ts";
import { EtcdError } from "./errors.ts";
import type { Entry, Operation, OperationResult, TransactionResult, WatchEvent } from "./types.ts";

/** Of a JSON object that nobody has looked at. */
export type Fields = Readonly<Record<string, unknown>>;

const invalid = (what: string): EtcdError =>
  new EtcdError("etcd_invalid_answer", `what answered is no etcd that onggi knows: ${what}`);

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

function object(value: unknown, what: string): Fields {
  if (!isObject(value)) throw invalid(`${what} is no object`);
  return value;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalid(`${what} is no list`);
  return value;
}

function text(value: unknown, what: string): string {
  if (value === undefined) return "";
  if (typeof value !== "string") throw invalid(`${what} is no text`);
  return value;
}

function flag(value: unknown, what: string): boolean {
  if (value === undefined) return false;
  if (typeof value !== "boolean") throw invalid(`${what} is neither true nor false`);
  return value;
}

/** A 64-bit integer, kept as text: leases. */
function integer(value: unknown, what: string): string {
  if (value === undefined) return "0";
  if (typeof value !== "string" || !/^-?\d{1,19}$/.test(value)) throw invalid(`${what} is no integer`);
  return value;
}

function number(value: unknown, what: string): number {
  const result = Number(integer(value, what));
  if (!Number.isSafeInteger(result)) throw invalid(`${what} is out of range`);
  return result;
}

/** A revision: 1 or more. */
function revision(value: unknown, what: string): number {
  const result = number(value, what);
  if (result < 1) throw invalid(`${what} is no revision`);
  return result;
}

function bytes(value: unknown, what: string): string {
  const encoded = text(value, what);
  if (encoded.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw invalid(`${what} is not base64`);
  return Buffer.from(encoded, "base64").toString("utf8");
}

export function parseJson(source: string): Fields {
  try {
    return object(JSON.parse(source), "the answer");
  } catch (error) {
    if (error instanceof EtcdError) throw error;
    throw invalid("the answer is not JSON");
  }
}

/** An error as the gateway writes it, of a request or within a stream; null if it is none. Both versions of the gateway's. */
export function decodeStatus(fields: Fields): { readonly code: number; readonly message: string } | null {
  const { code, grpc_code, message, error } = isObject(fields.error) ? fields.error : fields;
  const number = code ?? grpc_code;
  const said = message ?? error;
  return typeof number === "number" && typeof said === "string" ? { code: number, message: printable(said) } : null;
}

/** What a stream's message holds. */
export const resultIn = (fields: Fields): Fields => object(fields.result, "the result");

/** The store's, in any answer. */
export const headerRevision = (answer: Fields): number =>
  revision(object(answer.header, "the header").revision, "the store's revision");

function decodeEntry(value: unknown): Entry {
  const kv = object(value, "an entry");
  const lease = integer(kv.lease, "an entry's lease");
  return {
    key: bytes(kv.key, "a key"),
    value: bytes(kv.value, "a value"),
    modRevision: revision(kv.mod_revision, "an entry's revision"),
    createRevision: revision(kv.create_revision, "an entry's first revision"),
    lease: lease === "0" ? "" : lease,
  };
}

export interface Range {
  readonly entries: readonly Entry[];
  readonly revision: number;
  readonly more: boolean;
  /** Keys in the range, whatever of them was asked for. */
  readonly count: number;
  /** The last entry's, in base64. */
  readonly lastKey: string;
}

export function decodeRange(answer: Fields): Range {
  const kvs = list(answer.kvs, "the entries");
  const entries = kvs.map(decodeEntry);
  const more = flag(answer.more, "more");
  if (more && entries.length === 0) throw invalid("it has more entries and gives none");
  return {
    entries,
    revision: headerRevision(answer),
    more,
    count: number(answer.count, "the number of entries"),
    lastKey: text(object(kvs.at(-1) ?? {}, "an entry").key, "a key"),
  };
}

/** @param operations  those that were carried out if the comparison held, and if it did not */
export function decodeTransaction(
  answer: Fields,
  success: readonly Operation[],
  failure: readonly Operation[],
): TransactionResult {
  const succeeded = flag(answer.succeeded, "the outcome");
  const operations = succeeded ? success : failure;
  const responses = list(answer.responses, "the results");
  if (responses.length !== operations.length) throw invalid(`${operations.length} operations have ${responses.length} results`);
  const results = responses.map((response, at) => decodeResult(object(response, "a result"), operations[at]!));
  return { succeeded, revision: headerRevision(answer), results };
}

function decodeResult(response: Fields, operation: Operation): OperationResult {
  if ("put" in operation) {
    object(response.response_put, "the result of a put");
    return { entries: [], removed: 0 };
  }
  if ("remove" in operation || "removePrefix" in operation) {
    const { deleted } = object(response.response_delete_range, "the result of a removal");
    return { entries: [], removed: number(deleted, "the number of removed keys") };
  }
  const { kvs } = object(response.response_range, "the result of a reading");
  return { entries: list(kvs, "the entries").map(decodeEntry), removed: 0 };
}

export interface Lease {
  readonly id: string;
  /** Seconds, rounded down. One that is gone has -1 where it is asked after, and 0 where it is to be kept alive. */
  readonly ttl: number;
  readonly keys: readonly string[];
}

export function decodeLease(answer: Fields): Lease {
  const id = integer(answer.ID, "the lease");
  if (id === "0") throw invalid("the lease has no id");
  return {
    id,
    ttl: number(answer.TTL, "the lease's time"),
    keys: list(answer.keys, "the keys").map((key) => bytes(key, "a key")),
  };
}

export const decodeKeptAlive = (answer: Fields): Lease => decodeLease(resultIn(answer));

export function decodeToken(answer: Fields): string {
  const token = text(answer.token, "the token");
  if (!/^[\x21-\x7e]+$/.test(token)) throw invalid("the token is no text");
  return token;
}

export interface MemberStatus {
  /** "3.4.23" */
  readonly version: string;
  readonly revision: number;
}

export const decodeMemberStatus = (answer: Fields): MemberStatus => ({
  version: text(answer.version, "the version"),
  revision: headerRevision(answer),
});

export interface WatchMessage {
  readonly created: boolean;
  readonly canceled: boolean;
  readonly cancelReason: string;
  /** Not 0: changes before it are no longer kept. */
  readonly compactRevision: number;
  /** There is more of the same revision in the next message. */
  readonly fragment: boolean;
  readonly events: readonly WatchEvent[];
}

export const decodeWatchMessage = (result: Fields): WatchMessage => ({
  created: flag(result.created, "created"),
  canceled: flag(result.canceled, "canceled"),
  cancelReason: printable(text(result.cancel_reason, "the reason of an end")),
  compactRevision: number(result.compact_revision, "the compacted revision"),
  fragment: flag(result.fragment, "fragment"),
  events: list(result.events, "the events").map(decodeEvent),
});

function decodeEvent(value: unknown): WatchEvent {
  const { type, kv } = object(value, "an event");
  if (type === undefined || type === "PUT") return { type: "put", entry: decodeEntry(kv) };
  if (type !== "DELETE") throw invalid("an event is neither a put nor a removal");
  const { key, mod_revision } = object(kv, "an event's entry");
  return { type: "remove", key: bytes(key, "a key"), modRevision: revision(mod_revision, "an event's revision") };
}
