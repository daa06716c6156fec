/** One registry as it is reached: its scheme, its tokens, tries again, redirects without credentials. */
import { rootCertificates } from "node:tls";
import { OnggiError } from "../../lib/errors.ts";
import { invalidAnswer, type Missing, refused, shown, unreachable } from "./failures.ts";
import { lengthOf, parseChallenges, retryAfter } from "./headers.ts";
import { isLoopback } from "./proxy.ts";
import { type Reach, Tokens } from "./tokens.ts";
import type { Answer, Request, Tls, Transport } from "./transport.ts";
import type { RegistryAuth } from "./types.ts";

/** How a registry is reached. */
export interface Endpoint {
  /** Host and port. */
  readonly host: string;
  /** What its paths begin with, "/v2" commonly. */
  readonly root: string;
  /** "https"; "http" for plain HTTP alone; "either": https, unverified, else http. */
  readonly scheme: "https" | "http" | "either";
  readonly tls?: Tls;
}

/** Docker's rule: a registry of this very machine may be insecure. */
export const isLocal = (host: string): boolean =>
  URL.canParse(`http://${host}`) && isLoopback(new URL(`http://${host}`).hostname);

export interface Call extends Omit<Request, "headers"> {
  /** Words for errors: registry, repository, what is wanted. */
  readonly what: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly scopes: readonly string[];
  readonly auth: RegistryAuth;
  readonly missing?: Missing;
  /** Statuses the caller deals with; any other becomes an error. */
  readonly expect: readonly number[];
  readonly tries?: number;
}

const MAX_TRIES = 5;
const MAX_REDIRECTS = 5;
const MAX_WAIT_MS = 60_000;
const MAX_ERROR_BYTES = 64 << 10;
const temporary = new Set([429, 502, 503, 504]);
const redirects = new Set([301, 302, 303, 307, 308]);

/** Milliseconds before the next try: doubling from 200, up to 10 s, with jitter. */
export const backOff = (attempt: number): number => Math.min(10_000, 200 * 2 ** attempt) * (0.5 + Math.random() / 2);

/** Waits; an abort ends the wait. */
export const pause = (milliseconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const abort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });

export class Host {
  readonly endpoint: Endpoint;
  readonly #transport: Transport;
  readonly #tokens: Tokens;
  #base: Promise<URL> | null = null;
  /** Whether it ever answered: only then is a connection that fails worth another try. */
  #heard = false;

  constructor(endpoint: Endpoint, transport: Transport) {
    this.endpoint = endpoint;
    this.#transport = transport;
    this.#tokens = new Tokens(transport);
  }

  /** The URL of a path below its root. */
  async url(path: string, what: string): Promise<URL> {
    const base = await this.#origin(what);
    return new URL(`${this.endpoint.root}/${path}`, base);
  }

  /** Sends with authorization and tries; the answer has one of the expected statuses. */
  async call(url: URL, call: Call): Promise<Answer> {
    const { what, signal, expect, tries = MAX_TRIES } = call;
    for (let attempt = 0; ; attempt++) {
      let answer: Answer;
      try {
        answer = await this.#authorized(url, call);
        this.#heard = true;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof OnggiError && error.code !== "registry_unreachable") throw error;
        if (!this.#heard || attempt + 1 >= tries) throw unreachable(what, url, error);
        await pause(backOff(attempt), signal);
        continue;
      }
      if (expect.includes(answer.status)) return answer;
      const wait = retryAfter(answer.headers.get("retry-after"), Date.now());
      if (temporary.has(answer.status) && attempt + 1 < tries && (wait ?? 0) <= MAX_WAIT_MS) {
        await answer.discard();
        await pause(wait ?? backOff(attempt), signal);
        continue;
      }
      const body = new TextDecoder().decode((await answer.bytes(MAX_ERROR_BYTES).catch(() => null)) ?? new Uint8Array());
      throw refused(what, answer.status, body, call.missing ?? "registry_error");
    }
  }

  /** Asks whether it takes the credentials. */
  async login(what: string, auth: RegistryAuth, signal?: AbortSignal): Promise<{ identityToken?: string }> {
    const url = await this.url("", what);
    const answer = await this.call(url, { what, method: "GET", scopes: [], auth, expect: [200], signal });
    await answer.discard();
    const identityToken = await this.#tokens.identity(what, auth, this.#reach());
    return identityToken ? { identityToken } : {};
  }

  #reach(): Reach {
    return { tls: (url) => (this.#near(url) ? this.#tls() : foreign(this.#tls(), url)), plain: (url) => this.#plain(url) };
  }

  /** Whether plain HTTP may be spoken with a host that the registry names: one that may be insecure speaks for itself alone. */
  #plain(url: URL): boolean {
    const { scheme } = this.endpoint;
    return scheme === "http" || (scheme === "either" && this.#near(url));
  }

  /** The registry's own host, whatever the port; all names of this machine are one. */
  #near({ hostname }: URL): boolean {
    const own = new URL(`https://${this.endpoint.host}`).hostname;
    return hostname === own || (isLoopback(hostname) && isLoopback(own));
  }

  #tls(): Tls | undefined {
    const { scheme, tls } = this.endpoint;
    return scheme === "either" ? { ...tls, rejectUnauthorized: false } : tls;
  }

  #origin(what: string): Promise<URL> {
    if (!this.#base) {
      const finding = this.#find(what);
      this.#base = finding;
      finding.catch(() => {
        this.#base = null;
      });
    }
    return this.#base;
  }

  async #find(what: string): Promise<URL> {
    const { scheme, host } = this.endpoint;
    if (scheme !== "either") return new URL(`${scheme}://${host}`);
    let last: unknown;
    for (const each of ["https", "http"]) {
      const origin = new URL(`${each}://${host}`);
      try {
        const probe = new URL(`${this.endpoint.root}/`, origin);
        const tls = this.#tls();
        await (await this.#transport.send(probe, { method: "GET", ...(tls ? { tls } : {}) })).discard();
        return origin;
      } catch (error) {
        last = error;
      }
    }
    throw unreachable(what, new URL(`http://${host}`), last);
  }

  async #authorized(url: URL, call: Call): Promise<Answer> {
    const { what, scopes, auth } = call;
    const origin = await this.#origin(what);
    const own = url.origin === origin.origin;
    for (let again = false; ; again = true) {
      const authorization = own ? await this.#tokens.authorization(what, scopes, auth, this.#reach()) : null;
      const answer = await this.#followed(url, call, authorization);
      if (answer.status !== 401 || again || !own || answer.url.origin !== url.origin) return answer;
      if (!this.#tokens.learn(parseChallenges(answer.headers.get("www-authenticate")), scopes, auth)) return answer;
      await answer.discard();
    }
  }

  /** Reads follow redirects; whoever they lead to is shown neither credentials nor certificate. */
  async #followed(start: URL, call: Call, authorization: string | null): Promise<Answer> {
    const { what, method, body, signal } = call;
    const origin = await this.#origin(what);
    let url = start;
    for (let hops = 0; ; hops++) {
      const own = url.origin === origin.origin;
      const tls = own ? this.#tls() : foreign(this.#tls(), url);
      const answer = await this.#transport.send(url, {
        method,
        signal,
        headers: { ...call.headers, ...(authorization && own ? { Authorization: authorization } : {}) },
        ...(body === undefined ? {} : { body }),
        ...(tls ? { tls } : {}),
      });
      if (!redirects.has(answer.status) || (method !== "GET" && method !== "HEAD")) return answer;
      const location = answer.headers.get("location");
      await answer.discard();
      if (!location || !URL.canParse(location, url.href)) throw invalidAnswer(what, "a redirect to nowhere");
      if (hops >= MAX_REDIRECTS) throw invalidAnswer(what, `more than ${MAX_REDIRECTS} redirects, the last from ${shown(url)}`);
      const next = new URL(location, url.href);
      if (next.protocol !== "https:" && !(next.protocol === "http:" && this.#plain(next)))
        throw invalidAnswer(what, `a redirect to ${shown(next)}, which is not https`);
      url = next;
    }
  }
}

/** For a host that a registry led to: no certificate of ours, the well-known authorities besides the registry's, and they count. */
const foreign = (tls: Tls | undefined, { hostname }: URL): Tls | undefined => {
  if (!tls) return undefined;
  const { ca, rejectUnauthorized } = tls;
  return {
    ...(ca ? { ca: [...rootCertificates, ...ca] } : {}),
    ...(rejectUnauthorized === false && isLoopback(hostname) ? { rejectUnauthorized } : {}),
  };
};

/** Content-Length of an answer that has one. */
export const sizeOf = (answer: Answer): number | null => lengthOf(answer.headers.get("content-length"));
