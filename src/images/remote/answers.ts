/** Answers that are read whole, and lists that come in pages. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { invalidAnswer } from "./failures.ts";
import { nextLink } from "./headers.ts";
import { type Call, type Host, sizeOf } from "./host.ts";
import type { Answer } from "./transport.ts";

const MAX_PAGE = 16 << 20;
const MAX_PAGES = 10_000;

/** Throws "registry_unreachable" where it breaks off, "registry_answer_invalid" where it has more than `limit` bytes. */
export async function wholeBody(answer: Answer, what: string, limit: number): Promise<Uint8Array> {
  let bytes: Uint8Array | null;
  try {
    bytes = (sizeOf(answer) ?? 0) > limit ? null : await answer.bytes(limit);
  } catch (error) {
    const why = printable(messageOf(error));
    throw new OnggiError("registry_unreachable", `${what}: the connection broke while the answer came (${why})`, {
      cause: error,
    });
  }
  if (bytes) return bytes;
  await answer.discard();
  throw invalidAnswer(what, `more than ${limit >> 20} MiB`);
}

/** Throws "registry_answer_invalid". */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw invalidAnswer(what, "it is not JSON");
  }
}

/**
 * The documents of a list, page after page, as their Link headers lead (OCI distribution specification, "Listing Tags").
 * Throws what the registry's answers are worth; "registry_answer_invalid" where the pages have no end or lead elsewhere.
 */
export async function* pagesOf(host: Host, first: URL, call: Omit<Call, "method" | "expect">): AsyncGenerator<unknown> {
  const { what } = call;
  const seen = new Set<string>();
  for (let url: URL | null = first; url; ) {
    if (seen.has(url.href) || seen.size >= MAX_PAGES) throw invalidAnswer(what, "the pages of its list have no end");
    seen.add(url.href);
    const answer: Answer = await host.call(url, { ...call, method: "GET", expect: [200] });
    const next = nextOf(answer, url, what);
    yield parseJson(await wholeBody(answer, what, MAX_PAGE), what);
    url = next;
  }
}

function nextOf(answer: Answer, url: URL, what: string): URL | null {
  const next = nextLink(answer.headers.get("link"));
  if (next === null) return null;
  const target = URL.canParse(next, url.href) ? new URL(next, url.href) : null;
  if (target?.origin !== url.origin) throw invalidAnswer(what, "the next page of its list lies on another host");
  return target;
}
