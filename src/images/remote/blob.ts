/** A blob's bytes, taken up again where a connection broke. Source: distribution specification 1.1, "Pulling blobs"; RFC 9110, section 14. */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { Digest } from "../../oci/digest.ts";
import { invalidAnswer } from "./failures.ts";
import { contentRange } from "./headers.ts";
import { backOff, type Call, type Host, pause, sizeOf } from "./host.ts";
import type { Answer } from "./transport.ts";

/** Broken connections in a row that brought no byte. */
const MAX_FRUITLESS = 5;

/** Exactly `size` bytes, or an error. The digest is not checked. */
export async function* readBlob(
  host: Host,
  path: string,
  digest: Digest,
  size: number,
  call: Omit<Call, "expect" | "method">,
): AsyncGenerator<Uint8Array> {
  const { what, signal } = call;
  const url = await host.url(`${path}/blobs/${digest}`, what);
  let at = 0;
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
    if (fruitless >= MAX_FRUITLESS) {
      throw new OnggiError(
        "registry_unreachable",
        `${what}: ${at} of ${size} bytes came, then nothing in ${MAX_FRUITLESS} tries (${messageOf(failure).slice(0, 200)})`,
        { cause: failure },
      );
    }
    await pause(backOff(fruitless), signal);
  }
}

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
