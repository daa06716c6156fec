/** One registry as it is reached: its scheme, its tokens, tries again, redirects without credentials. */
import { rootCertificates } from "node:tls";
import { OnggiError } from "../../lib/errors.ts";
import { invalidAnswer, type Missing, refused, shown, unreachable } from "./failures.ts";
import { lengthOf, parseChallenges } from "./headers.ts";
import { isLoopback } from "./proxy.ts";
import { againIn, backOff, MAX_TRIES, pause } from "./retry.ts";
import { type Reach, type TokenRequest, Tokens } from "./tokens.ts";
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
  /** The registry it is asked in place of, where it has to be told: "docker.io". */
  readonly namespace?: string;
  /** Sent with every request to it. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds for a connection to it; absent: the time for an answer has to do. */
  readonly connectTimeout?: number;
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

const MAX_REDIRECTS = 5;
const MAX_ERROR_BYTES = 64 << 10;
/** With what a registry wants of a request: nothing is known, then what its challenge says, then for the scope it names. */
const MAX_REFUSALS = 2;
const redirects = new Set([301, 302, 303, 307, 308]);

export class Host {
  readonly endpoint: Endpoint;
  readonly #transport: Transport;
  readonly #tokens: Tokens;
  #base: Promise<URL> | null = null;
  /** Whether it ever answered: only then is a connection that fails worth another try. */
  #heard = false;
  #silent: { readonly since: number; readonly error: OnggiError } | null = null;

  constructor(endpoint: Endpoint, transport: Transport) {
    this.endpoint = endpoint;
    this.#transport = transport;
    this.#tokens = new Tokens(transport);
  }

  /** Since when it is not reached (milliseconds since 1970), and why; null where it was when it was last asked. */
  get silent(): { readonly since: number; readonly error: OnggiError } | null {
    return this.#silent;
  }

  /** Milliseconds before a second try. */
  get firstPause(): number {
    return this.#transport.timeouts.pause;
  }

  /** The URL of a path below its root. */
  async url(path: string, what: string, signal?: AbortSignal): Promise<URL> {
    const { root, namespace } = this.endpoint;
    const url = new URL(`${root}/${path}`, await this.#origin(what, signal));
    if (namespace !== undefined) url.searchParams.set("ns", namespace);
    return url;
  }

  /** Sends with authorization and tries; the answer has one of the expected statuses. */
  async call(url: URL, call: Call): Promise<Answer> {
    const { what, signal, expect, tries = MAX_TRIES } = call;
    for (let attempt = 0; ; attempt++) {
      let answer: Answer;
      try {
        answer = await this.#authorized(url, call);
        this.#heard = true;
        this.#silent = null;
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof OnggiError && error.code !== "registry_unreachable") throw error;
        if (!this.#heard || attempt + 1 >= tries) throw this.#unreached(what, url, error);
        await pause(backOff(attempt, this.firstPause), signal);
        continue;
      }
      if (expect.includes(answer.status)) return answer;
      const wait = attempt + 1 < tries ? againIn(answer, attempt, this.firstPause) : null;
      if (wait !== null) {
        await answer.discard();
        await pause(wait, signal);
        continue;
      }
      const body = new TextDecoder().decode((await answer.bytes(MAX_ERROR_BYTES).catch(() => null)) ?? new Uint8Array());
      throw refused(what, answer.status, body, call.missing ?? "registry_error");
    }
  }

  /** Asks whether it takes the credentials. */
  async login(what: string, auth: RegistryAuth, signal?: AbortSignal): Promise<{ identityToken?: string }> {
    const url = await this.url("", what, signal);
    const answer = await this.call(url, { what, method: "GET", scopes: [], auth, expect: [200], signal });
    await answer.discard();
    const identityToken = await this.#tokens.identity({ what, scopes: [], auth, reach: this.#reach(), signal });
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

  #unreached(what: string, url: URL, cause: unknown): OnggiError {
    const error = unreachable(what, url, cause);
    this.#silent = { since: Date.now(), error };
    // Where it is asked for again it is looked for again.
    this.#base = null;
    return error;
  }

  async #origin(what: string, signal?: AbortSignal): Promise<URL> {
    const { scheme, host, connectTimeout } = this.endpoint;
    if (scheme !== "either" && connectTimeout === undefined) return new URL(`${scheme}://${host}`);
    // The search is everybody's; who gives up leaves it to the others.
    if (!this.#base) {
      this.#base = this.#find();
      this.#base.catch(() => {});
    }
    const left = Promise.withResolvers<never>();
    const leave = (): void => left.reject(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener("abort", leave, { once: true });
    try {
      return await Promise.race([this.#base, left.promise]);
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#unreached(what, new URL(`https://${host}`), error);
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  async #find(): Promise<URL> {
    const { scheme, host } = this.endpoint;
    const origins = (scheme === "either" ? ["https", "http"] : [scheme]).map((each) => new URL(`${each}://${host}`));
    let last: unknown;
    for (const origin of origins) {
      try {
        await this.#probe(origin);
        return origin;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  /** Throws where nobody is there, or, where the scheme has to be found out, nobody who speaks it. */
  async #probe(origin: URL): Promise<void> {
    const { scheme, root, connectTimeout } = this.endpoint;
    if (connectTimeout !== undefined) await this.#transport.reach(origin, connectTimeout);
    if (scheme !== "either") return;
    const tls = this.#tls();
    const answer = await this.#transport.send(new URL(`${root}/`, origin), { method: "GET", ...(tls ? { tls } : {}) });
    await answer.discard();
  }

  async #authorized(url: URL, call: Call): Promise<Answer> {
    const { what, scopes, auth, signal } = call;
    const origin = await this.#origin(what, signal);
    const own = url.origin === origin.origin;
    const request: TokenRequest = { what, scopes, auth, reach: this.#reach(), signal };
    for (let refusals = 0; ; refusals++) {
      const authorization = own ? await this.#tokens.authorization(request) : null;
      const answer = await this.#followed(url, call, authorization);
      if ((answer.status !== 401 && answer.status !== 403) || !own || answer.url.origin !== url.origin) return answer;
      if (refusals >= MAX_REFUSALS) return answer;
      const challenges = parseChallenges(answer.headers.get("www-authenticate"));
      if (!this.#tokens.learn(answer.status, challenges, request, refusals > 0)) return answer;
      await answer.discard();
    }
  }

  /** Reads follow redirects; whoever they lead to is shown neither credentials nor certificate. */
  async #followed(start: URL, call: Call, authorization: string | null): Promise<Answer> {
    const { what, method, body, signal } = call;
    const origin = await this.#origin(what, signal);
    let url = start;
    for (let hops = 0; ; hops++) {
      const own = url.origin === origin.origin;
      const tls = own ? this.#tls() : foreign(this.#tls(), url);
      const answer = await this.#transport.send(url, {
        method,
        signal,
        headers: own
          ? merged(this.endpoint.headers, call.headers, authorization ? { Authorization: authorization } : {})
          : { ...call.headers },
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

/** Header fields; of two with one name, in whatever case, the later one counts. */
const merged = (...all: (Readonly<Record<string, string>> | undefined)[]): Record<string, string> => {
  const headers = new Headers();
  for (const fields of all) for (const [name, value] of Object.entries(fields ?? {})) headers.set(name, value);
  return Object.fromEntries(headers);
};

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
