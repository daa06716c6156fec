/** Sending a blob. Source: distribution specification 1.1, "Pushing blobs". */
import { OnggiError } from "../../lib/errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { finishHash, newHash } from "../digest.ts";
import { invalidAnswer, refused } from "./failures.ts";
import { lengthOf, uploadedBytes } from "./headers.ts";
import type { Call, Host } from "./host.ts";
import { againIn, backOff, MAX_TRIES, pause, temporary } from "./retry.ts";
import type { Answer } from "./transport.ts";
import type { BlobSource } from "./types.ts";

const CANCEL_MS = 5_000;
/** From this try on, what has arrived of an upload that breaks is kept. */
const FIRST_IN_PIECES = 3;
/** Bytes of a piece: held in memory until the registry has it. The second where the first is too large for the registry. */
const PIECES = [8 << 20, 1 << 20] as const;
const LARGEST_PIECE = 128 << 20;

type Context = Omit<Call, "expect" | "method">;

/** The registry does not take so much at a time. */
class TooLarge extends Error {}

/** The registry has no time for it now. */
class Busy extends Error {
  readonly answer: Answer;

  constructor(answer: Answer) {
    super();
    this.answer = answer;
  }
}

/** Where an upload goes on: Location, relative or absolute. */
export const locationOf = (answer: Answer, what: string): URL => {
  const location = answer.headers.get("location");
  if (!location || !URL.canParse(location, answer.url.href)) throw invalidAnswer(what, "an upload without a Location");
  const url = new URL(location, answer.url.href);
  if (url.protocol !== "https:" && url.protocol !== answer.url.protocol)
    throw invalidAnswer(what, "an upload begun by https is to go on without");
  return url;
};

/** Ends an upload that will not be completed; that it fails is no matter. */
export const cancelUpload = async (host: Host, url: URL, context: Context): Promise<void> => {
  const signal = AbortSignal.timeout(CANCEL_MS);
  const call: Call = { ...context, method: "DELETE", expect: [200, 202, 204, 404], tries: 1, signal };
  await host.call(url, call).then(
    (answer) => answer.discard(),
    () => {},
  );
};

/**
 * Uploads in one stream; from the start again where the connection breaks or the registry is busy. In pieces where the registry asks for them, where the
 * whole is too large for it, and where the connection breaks over and over.
 */
export const upload = async (
  host: Host,
  path: string,
  source: BlobSource,
  context: Context,
): Promise<{ digest: Digest; size: number }> => {
  const sizes = [...PIECES];
  let piece: number | null = null;
  for (let attempt = 0; ; attempt++) {
    if (attempt >= FIRST_IN_PIECES) piece ??= sizes.shift() ?? null;
    try {
      return await uploadOnce(host, path, source, context, piece);
    } catch (error) {
      context.signal?.throwIfAborted();
      if (error instanceof TooLarge) {
        const smaller = sizes.shift();
        if (smaller === undefined)
          throw new OnggiError("registry_error", `${context.what}: the registry takes not even ${piece} bytes at a time (413)`);
        piece = smaller;
        continue;
      }
      await pause(waitAfter(error, attempt, host, context.what), context.signal);
    }
  }
};

/** Milliseconds until an upload that failed is tried again. Throws where it is not. */
const waitAfter = (error: unknown, attempt: number, host: Host, what: string): number => {
  const last = attempt + 1 >= MAX_TRIES;
  if (error instanceof Busy) {
    const wait = last ? null : againIn(error.answer, attempt, host.firstPause);
    if (wait !== null) return wait;
    throw refused(what, error.answer.status, "", "registry_error");
  }
  if (last || !(error instanceof OnggiError) || error.code !== "registry_unreachable") throw error;
  return backOff(attempt, host.firstPause);
};

/** One upload from its start to its digest; given up, it is deleted. `piece`: bytes of each piece; null: in one stream. */
const uploadOnce = async (
  host: Host,
  path: string,
  source: BlobSource,
  context: Context,
  piece: number | null,
): Promise<{ digest: Digest; size: number }> => {
  const { what } = context;
  const begin = await host.url(`${path}/blobs/uploads/`, what, context.signal);
  const started = await host.call(begin, { ...context, method: "POST", expect: [202] });
  await started.discard();
  const session = new Session(host, context, locationOf(started, what));
  const bytes = new Counted(source);
  try {
    const least = lengthOf(started.headers.get("oci-chunk-min-length")) ?? 0;
    if (least > LARGEST_PIECE) throw invalidAnswer(what, `it wants pieces of ${least} bytes; the limit is ${LARGEST_PIECE}`);
    if (piece !== null || least > 0) await session.sendPieces(bytes.open(), Math.max(piece ?? PIECES[0], least));
    else await session.sendWhole(() => bytes.open(), source.size);
    const digest = bytes.digest();
    if (source.digest && source.digest !== digest)
      throw new OnggiError("digest_mismatch", `${what}: ${source.digest} was to be sent, its bytes are ${digest}`);
    await session.finish(digest);
    return { digest, size: bytes.size };
  } catch (error) {
    await cancelUpload(host, session.location, context);
    throw bytes.failure ? bytes.failure.error : error;
  }
};

/** A source's bytes, hashed on their way. */
class Counted {
  readonly #source: BlobSource;
  #hash = newHash();
  size = 0;
  /** What the source itself threw. */
  failure: { readonly error: unknown } | null = null;

  constructor(source: BlobSource) {
    this.#source = source;
  }

  /** From the start, each time. */
  async *open(): AsyncGenerator<Uint8Array> {
    this.#hash = newHash();
    this.size = 0;
    try {
      for await (const chunk of this.#source.open()) {
        this.#hash.update(chunk);
        this.size += chunk.length;
        yield chunk;
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  digest(): Digest {
    return finishHash(this.#hash);
  }
}

class Session {
  readonly #host: Host;
  readonly #context: Context;
  location: URL;

  constructor(host: Host, context: Context, location: URL) {
    this.#host = host;
    this.#context = context;
    this.location = location;
  }

  /** Throws TooLarge where the registry will not have so much. */
  async sendWhole(open: () => AsyncIterable<Uint8Array>, size: number | undefined): Promise<void> {
    const headers = {
      "Content-Type": "application/octet-stream",
      ...(size === undefined ? {} : { "Content-Length": String(size) }),
    };
    const expect = [202, 413, 416, ...temporary];
    await this.#goOn(await this.#call({ method: "PATCH", headers, body: open, tries: 1, expect }));
  }

  /** Sends `length` bytes at a time. Throws TooLarge. */
  async sendPieces(chunks: AsyncIterable<Uint8Array>, length: number): Promise<void> {
    let at = 0;
    for await (const piece of piecesOf(chunks, length)) {
      await this.#sendPiece(piece, at);
      at += piece.length;
    }
  }

  /** Sends what the registry has not got of a piece, until it has it all. */
  async #sendPiece(piece: Uint8Array, start: number): Promise<void> {
    let sent = 0;
    for (let attempt = 0; sent < piece.length; attempt++) {
      const body = piece.subarray(sent);
      const headers = {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(body.length),
        "Content-Range": `${start + sent}-${start + piece.length - 1}`,
      };
      const answer = await this.#call({ method: "PATCH", headers, body, expect: [202, 404, 413, 416] });
      if (answer.status === 202 || answer.status === 413) return this.#goOn(answer);
      await answer.discard();
      // A connection that broke has left part of the piece there; docker-registry gives up such an upload (404).
      const there = answer.status === 416 ? await this.#arrived() : null;
      if (there === null || attempt + 1 >= MAX_TRIES || there < start || there > start + piece.length) {
        const where = `bytes from ${start + sent} were sent, ${there ?? "none"} are there`;
        throw new OnggiError("registry_unreachable", `${this.#context.what}: the upload is lost: ${where}`);
      }
      sent = there - start;
    }
  }

  /** How many bytes of the upload the registry has; null where it knows none. */
  async #arrived(): Promise<number | null> {
    const answer = await this.#call({ method: "GET", expect: [204, 404] });
    await answer.discard();
    if (answer.status === 404) return null;
    if (answer.headers.get("location")) this.location = locationOf(answer, this.#context.what);
    return uploadedBytes(answer.headers.get("range"));
  }

  async finish(digest: Digest): Promise<void> {
    const end = new URL(this.location);
    end.searchParams.set("digest", digest);
    const done = await this.#host.call(end, { ...this.#context, method: "PUT", tries: 1, expect: [201, ...temporary] });
    await done.discard();
    if (done.status !== 201) throw new Busy(done);
    const confirmed = done.headers.get("docker-content-digest");
    if (isDigest(confirmed) && confirmed !== digest)
      throw new OnggiError("digest_mismatch", `${this.#context.what}: ${digest} was sent, the registry has ${confirmed}`);
  }

  async #goOn(answer: Answer): Promise<void> {
    await answer.discard();
    if (temporary.has(answer.status)) throw new Busy(answer);
    if (answer.status !== 202) throw new TooLarge();
    this.location = locationOf(answer, this.#context.what);
  }

  #call(call: Pick<Call, "method" | "headers" | "body" | "tries" | "expect">): Promise<Answer> {
    return this.#host.call(this.location, { ...this.#context, ...call });
  }
}

/** The same bytes in pieces of `length`, the last one shorter. */
async function* piecesOf(chunks: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    for (let rest = chunk; rest.length > 0; ) {
      const part = rest.subarray(0, length - held);
      // The source may use its buffer again.
      parts.push(part.slice());
      held += part.length;
      rest = rest.subarray(part.length);
      if (held < length) continue;
      yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
      [parts, held] = [[], 0];
    }
  }
  if (held > 0) yield Buffer.concat(parts);
}
