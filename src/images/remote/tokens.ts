/**
 * What a registry wants to see: Basic, or Bearer tokens of a token server, each kept until shortly before it ends. Source:
 * distribution/docs/spec/auth/token.md, oauth.md.
 */
import { OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import { invalidAnswer, refused, shown, unreachable } from "./failures.ts";
import type { Challenge } from "./headers.ts";
import { againIn, MAX_TRIES, pause } from "./retry.ts";
import { mergeScopes, parseScopes } from "./scopes.ts";
import type { Answer, Request, Tls, Transport } from "./transport.ts";
import type { RegistryAuth } from "./types.ts";

const CLIENT_ID = "onggi";
/** Where a token server says nothing. Source: token.md. */
const DEFAULT_LIFE_SECONDS = 60;
const MAX_ANSWER = 1 << 20;

interface Token {
  readonly header: string;
  /** Milliseconds since 1970. */
  readonly until: number;
  readonly refreshToken: string | null;
}

/** What the registry's token server is reached with. */
export interface Reach {
  readonly tls: (server: URL) => Tls | undefined;
  /** Whether a token server may be spoken to in plain HTTP: only where the registry may. */
  readonly plain: (server: URL) => boolean;
}

const basic = (auth: RegistryAuth): string =>
  `Basic ${Buffer.from(`${auth.username ?? ""}:${auth.password ?? ""}`, "utf8").toString("base64")}`;

/** Whether there is a name or password to show. */
const named = (auth: RegistryAuth): boolean => Boolean(auth.username || auth.password);

/** Who asks for what, and whom. */
export interface TokenRequest {
  /** Words for errors. */
  readonly what: string;
  readonly scopes: readonly string[];
  readonly auth: RegistryAuth;
  readonly reach: Reach;
  readonly signal?: AbortSignal | undefined;
}

const never = new AbortController().signal;

/** The tokens of one registry, for every user and scope. */
export class Tokens {
  readonly #transport: Transport;
  readonly #tokens = new Map<string, Token>();
  /** Requests for tokens under way: who gives up does not take them from the others. */
  readonly #fetches = new SharedWork<Token, never>();
  /** What the registry asked for last: later requests bring it unasked. */
  #challenge: Challenge | null = null;
  /** What it has asked for besides, by what was asked of it. */
  readonly #more = new Map<string, readonly string[]>();

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The Authorization of a request as far as it is known what the registry wants; null: none. */
  async authorization(request: TokenRequest): Promise<string | null> {
    const { auth } = request;
    if (auth.registryToken) return `Bearer ${auth.registryToken}`;
    const challenge = this.#challenge;
    if (!challenge) return null;
    if (challenge.scheme === "basic") return named(auth) ? basic(auth) : null;
    return (await this.#token(challenge, this.#wanted(request))).header;
  }

  /**
   * Learns from a refusal (401, 403) what the registry wants and forgets the token that it refused. False where there is nothing to
   * be shown that was not shown already; `fresh`: what was refused was made for this very request.
   */
  learn(status: number, challenges: readonly Challenge[], request: TokenRequest, fresh: boolean): boolean {
    const { auth, scopes } = request;
    if (auth.registryToken) return false;
    const bearer = challenges.find(({ scheme, params }) => scheme === "bearer" && params.realm);
    const chosen = bearer ?? challenges.find(({ scheme }) => scheme === "basic");
    if (!chosen || (chosen.scheme === "basic" && !named(auth))) return false;
    const before = this.#wanted(request).scopes;
    const wanted = mergeScopes(before, parseScopes(chosen.params.scope));
    const grown = wanted.join(" ") !== before.join(" ");
    if (fresh && !grown) return false;
    // Who forbids is only asked again with a token for more.
    if (status === 403 && !(grown && chosen.params.error === "insufficient_scope")) return false;
    this.#challenge = chosen;
    if (grown) this.#more.set(scopes.join(" "), wanted);
    this.#tokens.delete(keyOf(chosen, { auth, scopes: wanted }));
    return true;
  }

  /** The refresh token a token server hands out for a password; null where there is none. */
  async identity(request: TokenRequest): Promise<string | null> {
    const challenge = this.#challenge;
    if (challenge?.scheme !== "bearer" || !named(request.auth)) return null;
    return (await this.#fetch(challenge, { ...request, scopes: [] }, true)).refreshToken;
  }

  #wanted(request: TokenRequest): TokenRequest {
    return { ...request, scopes: this.#more.get(request.scopes.join(" ")) ?? request.scopes };
  }

  async #token(challenge: Challenge, request: TokenRequest): Promise<Token> {
    const key = keyOf(challenge, request);
    const known = this.#tokens.get(key);
    if (known && known.until > Date.now()) return known;
    const fetching = async (signal: AbortSignal): Promise<Token> => {
      const token = await this.#fetch(challenge, { ...request, signal }, false);
      for (const [other, { until }] of this.#tokens) if (until <= Date.now()) this.#tokens.delete(other);
      this.#tokens.set(key, token);
      return token;
    };
    return this.#fetches.join(key, fetching, request.signal ?? never, () => {});
  }

  async #fetch(challenge: Challenge, request: TokenRequest, offline: boolean): Promise<Token> {
    const { what, auth, signal, reach } = request;
    const realm = realmOf(what, challenge, reach);
    const service = challenge.params.service;
    const get = { realm, service, request, offline };
    let answer = await this.#send(auth.identityToken ? byPost(get) : byGet(get), realm, request);
    if (!auth.identityToken && named(auth) && (answer.status === 404 || answer.status === 405)) {
      await answer.discard();
      answer = await this.#send(byPost(get), realm, request);
    }
    const bytes = await answer.bytes(MAX_ANSWER).catch((error: unknown) => {
      signal?.throwIfAborted();
      throw unreachable(`${what}: token server`, realm, error);
    });
    const body = new TextDecoder().decode(bytes ?? new Uint8Array());
    if (answer.status !== 200) throw refused(`${what}: token server ${shown(realm)}`, answer.status, body, "registry_error");
    return readToken(what, body, Date.now());
  }

  /** Tries again what the server says will pass. */
  async #send({ url, ...sent }: Sent, realm: URL, { what, reach, signal }: TokenRequest): Promise<Answer> {
    const tls = reach.tls(realm);
    for (let attempt = 0; ; attempt++) {
      let answer: Answer;
      try {
        answer = await this.#transport.send(url, { ...sent, signal, ...(tls ? { tls } : {}) });
      } catch (error) {
        signal?.throwIfAborted();
        throw unreachable(`${what}: token server`, realm, error);
      }
      const wait = attempt + 1 < MAX_TRIES ? againIn(answer, attempt, this.#transport.timeouts.pause) : null;
      if (wait === null) return answer;
      await answer.discard();
      await pause(wait, signal);
    }
  }
}

const keyOf = (challenge: Challenge, { scopes, auth }: Pick<TokenRequest, "auth" | "scopes">): string => {
  const { realm, service } = challenge.params;
  return JSON.stringify([realm, service, scopes, auth.username, auth.password, auth.identityToken]);
};

interface Sent extends Request {
  readonly url: URL;
}

interface Asking {
  readonly realm: URL;
  readonly service: string | undefined;
  readonly request: TokenRequest;
  readonly offline: boolean;
}

const byGet = ({ realm, service, request: { scopes, auth }, offline }: Asking): Sent => {
  const url = new URL(realm);
  if (service) url.searchParams.set("service", service);
  for (const scope of scopes) url.searchParams.append("scope", scope);
  if (auth.username) url.searchParams.set("account", auth.username);
  if (offline) {
    url.searchParams.set("offline_token", "true");
    url.searchParams.set("client_id", CLIENT_ID);
  }
  return { url, method: "GET", headers: named(auth) ? { Authorization: basic(auth) } : {} };
};

/** Source: oauth.md. */
const byPost = ({ realm, service, request: { scopes, auth }, offline }: Asking): Sent => {
  const fields = new URLSearchParams({
    ...(service ? { service } : {}),
    ...(scopes.length > 0 ? { scope: scopes.join(" ") } : {}),
    client_id: CLIENT_ID,
    ...(auth.identityToken
      ? { grant_type: "refresh_token", refresh_token: auth.identityToken }
      : { grant_type: "password", username: auth.username ?? "", password: auth.password ?? "" }),
    ...(offline && !auth.identityToken ? { access_type: "offline" } : {}),
  });
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return { url: realm, method: "POST", headers, body: fields.toString() };
};

const realmOf = (what: string, challenge: Challenge, { plain }: Reach): URL => {
  const text = challenge.params.realm ?? "";
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && plain(url))) return url;
  throw new OnggiError(
    "registry_answer_invalid",
    `${what}: the registry names the token server "${printable(text)}", which is not https; nothing is sent there`,
  );
};

/** Reads a token server's answer. `now` in milliseconds. Throws "registry_answer_invalid". */
export const readToken = (what: string, body: string, now: number): Token => {
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(body) as Record<string, unknown>;
  } catch {
    throw invalidAnswer(what, "the token server's answer is not JSON");
  }
  const token = fields?.token || fields?.access_token;
  if (typeof token !== "string" || !/^[\x21-\x7e]+$/.test(token))
    throw invalidAnswer(what, "the token server hands out no token");
  const told = fields.expires_in;
  const seconds = typeof told === "number" && told > 0 ? Math.min(told, 86_400) : DEFAULT_LIFE_SECONDS;
  const refreshToken = fields.refresh_token;
  return {
    header: `Bearer ${token}`,
    // A tenth is left for the request that carries it.
    until: now + seconds * 900,
    refreshToken: typeof refreshToken === "string" && refreshToken !== "" ? refreshToken : null,
  };
};
