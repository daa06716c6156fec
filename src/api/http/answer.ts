import type { HttpAnswer } from "./types.ts";

const reasons: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "UPGRADED",
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  301: "Moved Permanently",
  304: "Not Modified",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  408: "Request Timeout",
  409: "Conflict",
  413: "Content Too Large",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
};

/** Whether an answer of this status has no body, and no Content-Length (RFC 9110, 6.4.1). */
export const isBodiless = (status: number): boolean => status < 200 || status === 204 || status === 304;

let date = { second: 0, text: "" };

function dateNow(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== date.second) date = { second, text: new Date(second * 1000).toUTCString() };
  return date.text;
}

/** The head of an answer, its empty line included. `framing`: a Content-Length, "chunked", or null: up to the connection's end. */
export function headOf({ status, headers = {} }: HttpAnswer, framing: number | "chunked" | null, keepAlive: boolean): string {
  let text = `HTTP/1.1 ${status} ${reasons[status] ?? ""}\r\n`;
  // a CR or LF would begin another header, or another answer
  for (const name in headers) text += `${name}: ${headers[name]!.replace(/[\r\n]+/g, " ")}\r\n`;
  if (status === 101) return `${text}\r\n`;
  text += `Date: ${dateNow()}\r\n`;
  if (framing === "chunked") text += "Transfer-Encoding: chunked\r\n";
  else if (framing !== null && !isBodiless(status)) text += `Content-Length: ${framing}\r\n`;
  if (!keepAlive && framing !== null) text += "Connection: close\r\n";
  return `${text}\r\n`;
}
