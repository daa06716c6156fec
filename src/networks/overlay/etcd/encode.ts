/** Requests as etcd's JSON gateway takes them: bytes in base64, 64-bit integers as text. Pure. Source: etcd's api/etcdserverpb/rpc.proto. */
import type { Compare, Operation, Transaction } from "./types.ts";

/** Of a JSON document. */
export type Body = Readonly<Record<string, unknown>>;

const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");

export const keyRange = (key: string): Body => ({ key: base64(key) });

/** All keys that begin with the prefix: up to the first that does not. The empty prefix is all keys there are. */
export function prefixRange(prefix: string): { readonly key: string; readonly range_end: string } {
  if (prefix === "") return { key: "AA==", range_end: "AA==" };
  // The last byte of UTF-8 is never 255.
  const end = Buffer.from(prefix, "utf8");
  end[end.length - 1]! += 1;
  return { key: base64(prefix), range_end: end.toString("base64") };
}

/** The smallest key after one that etcd has told. */
export const keyAfter = (rawKey: string): string =>
  Buffer.concat([Buffer.from(rawKey, "base64"), Uint8Array.of(0)]).toString("base64");

function encodeCompare(compare: Compare): Body {
  if ("prefix" in compare) return { ...prefixRange(compare.prefix), target: "CREATE", result: "EQUAL", create_revision: "0" };
  const key = base64(compare.key);
  if ("absent" in compare) return { key, target: "CREATE", result: "EQUAL", create_revision: "0" };
  if ("present" in compare) return { key, target: "CREATE", result: "GREATER", create_revision: "0" };
  if ("value" in compare) return { key, target: "VALUE", result: "EQUAL", value: base64(compare.value) };
  return { key, target: "MOD", result: "EQUAL", mod_revision: String(compare.modRevision) };
}

function encodeOperation(operation: Operation): Body {
  if ("put" in operation) {
    const { put, value, lease } = operation;
    return { request_put: { ...keyRange(put), value: base64(value), ...(lease ? { lease } : {}) } };
  }
  if ("remove" in operation) return { request_delete_range: keyRange(operation.remove) };
  if ("removePrefix" in operation) return { request_delete_range: prefixRange(operation.removePrefix) };
  return { request_range: "get" in operation ? keyRange(operation.get) : prefixRange(operation.list) };
}

export const encodeTransaction = ({ compare, success, failure = [] }: Transaction): Body => ({
  compare: compare.map(encodeCompare),
  success: success.map(encodeOperation),
  failure: failure.map(encodeOperation),
});

/** Whether a transaction can be asked for twice: it changes nothing. */
export const onlyReads = ({ success, failure = [] }: Transaction): boolean =>
  [...success, ...failure].every((operation) => "get" in operation || "list" in operation);
