/** Sending a blob. Source: distribution specification 1.1, "Pushing blobs". */
import { OnggiError } from "../../lib/errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { finishHash, newHash } from "../digest.ts";
import { invalidAnswer } from "./failures.ts";
import { backOff, type Call, type Host, pause } from "./host.ts";
import type { Answer } from "./transport.ts";
import type { BlobSource } from "./types.ts";

const MAX_TRIES = 5;
const CANCEL_MS = 5_000;

type Context = Omit<Call, "expect" | "method">;

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

/** Uploads in one stream; from the start again where the connection breaks. */
export const upload = async (
  host: Host,
  path: string,
  source: BlobSource,
  context: Context,
): Promise<{ digest: Digest; size: number }> => {
  for (let attempt = 0; ; attempt++) {
    try {
      return await uploadOnce(host, path, source, context);
    } catch (error) {
      context.signal?.throwIfAborted();
      const passing = error instanceof OnggiError && error.code === "registry_unreachable";
      if (!passing || attempt + 1 >= MAX_TRIES) throw error;
      await pause(backOff(attempt), context.signal);
    }
  }
};

const uploadOnce = async (
  host: Host,
  path: string,
  source: BlobSource,
  context: Context,
): Promise<{ digest: Digest; size: number }> => {
  const { what } = context;
  const started = await host.call(await host.url(`${path}/blobs/uploads/`, what), { ...context, method: "POST", expect: [202] });
  await started.discard();
  let location = locationOf(started, what);
  let failed: { error: unknown } | null = null;
  try {
    let hash = newHash();
    let size = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      // A token that ended meanwhile makes the request be sent twice.
      hash = newHash();
      size = 0;
      try {
        for await (const chunk of source.open()) {
          hash.update(chunk);
          size += chunk.length;
          yield chunk;
        }
      } catch (error) {
        failed = { error };
        throw error;
      }
    }
    const headers = {
      "Content-Type": "application/octet-stream",
      ...(source.size === undefined ? {} : { "Content-Length": String(source.size) }),
    };
    const sent = await host.call(location, { ...context, method: "PATCH", headers, body: counted, tries: 1, expect: [202] });
    await sent.discard();
    location = locationOf(sent, what);
    const digest = finishHash(hash);
    if (source.digest && source.digest !== digest)
      throw new OnggiError("digest_mismatch", `${what}: ${source.digest} was to be sent, its bytes are ${digest}`);
    const end = new URL(location);
    end.searchParams.set("digest", digest);
    const done = await host.call(end, { ...context, method: "PUT", tries: 1, expect: [201] });
    await done.discard();
    const confirmed = done.headers.get("docker-content-digest");
    if (isDigest(confirmed) && confirmed !== digest)
      throw new OnggiError("digest_mismatch", `${what}: ${digest} was sent, the registry has ${confirmed}`);
    return { digest, size };
  } catch (error) {
    await cancelUpload(host, location, context);
    if (failed) throw (failed as { error: unknown }).error;
    throw error;
  }
};
