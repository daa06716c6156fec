import { HttpError } from "./errors.ts";
import type { RequestHead } from "./types.ts";

/**
 * The head of an HTTP/1.1 request (RFC 9112), read strictly: what two readers could understand differently is refused, so that
 * nobody in between can be made to see another request than this server does (request smuggling). Refused among others: a bare
 * CR or LF, continued header lines, space before a colon, several Content-Length, Content-Length with Transfer-Encoding, any
 * transfer coding but "chunked".
 */

/** Bytes of a head, and headers in it. */
export const MAX_HEAD = 64 * 1024;
const MAX_HEADERS = 128;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** Of printable ASCII and bytes above it, with tabs and spaces inside. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;
const REQUEST_LINE = /^([A-Z]{1,32}) ([\x21-\x7e]+) HTTP\/1\.([01])$/;

const decoder = new TextDecoder("latin1");

/** Length of the head that `bytes` begin with, its empty line included; -1 while that has not come. */
export function headLength(bytes: Uint8Array): number {
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return -1;
}

function headersOf(lines: readonly string[]): Map<string, string> {
  if (lines.length > MAX_HEADERS) throw new HttpError(431, `more than ${MAX_HEADERS} headers`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^[\t ]+|[\t ]+$/g, "");
    if (colon < 1 || !TOKEN.test(name)) throw new HttpError(400, "malformed header name");
    if (!VALUE.test(value)) throw new HttpError(400, `malformed value of header ${name}`);
    const key = name.toLowerCase();
    const former = headers.get(key);
    if (former !== undefined && (key === "host" || key === "content-length" || key === "transfer-encoding"))
      throw new HttpError(400, `header ${name} came twice`);
    headers.set(key, former === undefined ? value : `${former}, ${value}`);
  }
  return headers;
}

function framingOf(headers: ReadonlyMap<string, string>, minorVersion: number): number | "chunked" {
  const coding = headers.get("transfer-encoding");
  const length = headers.get("content-length");
  if (coding !== undefined) {
    if (minorVersion === 0 || length !== undefined) throw new HttpError(400, "Transfer-Encoding where it cannot be");
    if (coding.toLowerCase() !== "chunked") throw new HttpError(501, "no other transfer coding than chunked is known");
    return "chunked";
  }
  if (length === undefined) return 0;
  if (!/^\d{1,15}$/.test(length)) throw new HttpError(400, "malformed Content-Length");
  return Number(length);
}

const listed = (headers: ReadonlyMap<string, string>, name: string, wanted: string): boolean =>
  (headers.get(name) ?? "").split(",").some((item) => item.trim().toLowerCase() === wanted);

/** What a proxy would be sent; for us the path counts. */
const originForm = (target: string): string => {
  const absolute = /^https?:\/\/[^/?#]*(.*)$/i.exec(target);
  const path = absolute ? absolute[1]! : target;
  if (absolute && !path.startsWith("/")) return `/${path}`;
  if (!path.startsWith("/") || path.includes("#")) throw new HttpError(400, "malformed request target");
  return path;
};

/** Reads a whole head, its empty line included. Throws HttpError. */
export function parseHead(bytes: Uint8Array): RequestHead {
  const text = decoder.decode(bytes);
  const lines = text.slice(0, -4).split("\r\n");
  const [, method, target, minor] = REQUEST_LINE.exec(lines[0]!) ?? [];
  if (method === undefined || target === undefined) {
    if (/^\S+ \S+ HTTP\/[02-9]/.test(lines[0]!)) throw new HttpError(505, "HTTP/1.1 is spoken here");
    throw new HttpError(400, "malformed request line");
  }
  const minorVersion = minor === "0" ? 0 : 1;
  const headers = headersOf(lines.slice(1));
  if (minorVersion === 1 && !headers.has("host")) throw new HttpError(400, "missing required Host header");
  const expect = headers.get("expect");
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") throw new HttpError(417, "unknown expectation");
  const keepAlive = minorVersion === 1 ? !listed(headers, "connection", "close") : listed(headers, "connection", "keep-alive");
  return { method, target: originForm(target), minorVersion, headers, framing: framingOf(headers, minorVersion), keepAlive };
}
