/** A blob's bytes, taken up again where a connection broke. Source: distribution specification 1.1, "Pulling blobs"; RFC 9110, section 14. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import type { Digest } from "../../oci/digest.ts";
import { invalidAnswer } from "./failures.ts";
import { contentRange } from "./headers.ts";
import { type Call, type Host, sizeOf } from "./host.ts";
import { backOff, MAX_TRIES, pause } from "./retry.ts";
import type { Answer } from "./transport.ts";
import type { BlobRead } from "./types.ts";

/** The bytes of one place, where nobody else can be asked. */
export const readOf = (place: string, chunks: AsyncIterable<Uint8Array>): BlobRead => ({
  sources: [place],
  wrong: () => false,
  [Symbol.asyncIterator]: () => chunks[Symbol.asyncIterator](),
});

/** Which bytes of which blob. */
export interface BlobRange {
  readonly path: string;
  readonly digest: Digest;
  /** Of the whole blob. */
  readonly size: number;
  /** The first byte that is wanted. */
  readonly from: number;
}

/**
 * Exactly the bytes up to `size`, or an error. The digest is not checked. `call.tries` broken connections in a row that brought no
 * byte end it.
 */
export async function* readBlob(
  host: Host,
  { path, digest, size, from: first }: BlobRange,
  call: Omit<Call, "expect" | "method">,
): AsyncGenerator<Uint8Array> {
  const { what, signal, tries = MAX_TRIES } = call;
  const url = await host.url(`${path}/blobs/${digest}`, what, signal);
  let at = first;
  let fruitless = 0;
  while (at < size || size === 0) {
    const from = at;
    const headers = from > 0 ? { Range: `bytes=${from}-` } : {};
    const answer = await host.call(url, { ...call, method: "GET", headers, expect: from > 0 ? [200, 206] : [200] });
    let skip = await skipped(answer, from, size, what);
    let failure: unknown = new Error("the connection ended");
    try {
      for await (const chunk of answer.chunks()) {
        const fresh = chunk.subarray(Math.min(skip, chunk.length));
        skip -= chunk.length - fresh.length;
        if (at + fresh.length > size) throw invalidAnswer(what, `more than the ${size} bytes that the manifest says`);
        if (fresh.length === 0) continue;
        at += fresh.length;
        yield fresh;
      }
      if (at === size) return;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof OnggiError && error.code !== "registry_unreachable") throw error;
      if (at === size) return;
      failure = error;
    }
    fruitless = at > from ? 0 : fruitless + 1;
    if (fruitless >= tries || tries === 1) throw brokenOff(what, `${at} of ${size} bytes`, tries, failure);
    await pause(backOff(fruitless, host.firstPause), signal);
  }
}

const brokenOff = (what: string, came: string, tries: number, cause: unknown): OnggiError => {
  const end = tries === 1 ? "no more" : `nothing in ${tries} tries`;
  return new OnggiError("registry_unreachable", `${what}: ${came} came, then ${end} (${printable(messageOf(cause))})`, { cause });
};

/** How many of an answer's bytes are known already. Throws "registry_answer_invalid" where it is about other bytes. */
const skipped = async (answer: Answer, from: number, size: number, what: string): Promise<number> => {
  let wrong: string | null = null;
  if (answer.status === 206) {
    const range = contentRange(answer.headers.get("content-range"));
    if (range?.start !== from || (range.total !== null && range.total !== size))
      wrong = `bytes from ${from} of ${size} were asked for, Content-Range tells others`;
  } else {
    const told = sizeOf(answer);
    if (told !== null && told !== size) wrong = `the manifest says ${size} bytes, the registry ${told}`;
  }
  if (wrong === null) return answer.status === 206 ? 0 : from;
  await answer.discard();
  throw invalidAnswer(what, wrong);
};
