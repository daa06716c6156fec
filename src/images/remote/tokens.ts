/**
 * What a registry wants to see: Basic, or Bearer tokens of a token server, each kept until shortly before it ends. Source:
 * distribution/docs/spec/auth/token.md, oauth.md.
 */
import { OnggiError } from "../../lib/errors.ts";
import { invalidAnswer, refused, shown, unreachable } from "./failures.ts";
import type { Challenge } from "./headers.ts";
import type { Answer, Tls, Transport } from "./transport.ts";
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

/** The tokens of one registry, for every user and scope. */
export class Tokens {
  readonly #transport: Transport;
  readonly #cache = new Map<string, Promise<Token>>();
  /** What the registry asked for last: later requests bring it unasked. */
  #challenge: Challenge | null = null;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The Authorization of a request as far as it is known what the registry wants; null: none. */
  async authorization(what: string, scopes: readonly string[], auth: RegistryAuth, reach: Reach): Promise<string | null> {
    if (auth.registryToken) return `Bearer ${auth.registryToken}`;
    const challenge = this.#challenge;
    if (!challenge) return null;
    if (challenge.scheme === "basic") return named(auth) ? basic(auth) : null;
    return (await this.#token(what, challenge, scopes, auth, reach)).header;
  }

  /**
   * Learns from a 401 what the registry wants and forgets the token that it refused. False where there is nothing to be shown that
   * was not shown already.
   */
  learn(challenges: readonly Challenge[], scopes: readonly string[], auth: RegistryAuth): boolean {
    if (auth.registryToken) return false;
    const bearer = challenges.find(({ scheme, params }) => scheme === "bearer" && params.realm);
    const chosen = bearer ?? challenges.find(({ scheme }) => scheme === "basic");
    if (!chosen || (chosen.scheme === "basic" && !named(auth))) return false;
    this.#challenge = chosen;
    this.#cache.delete(this.#key(chosen, scopes, auth));
    return true;
  }

  /** The refresh token a token server hands out for a password; null where there is none. */
  async identity(what: string, auth: RegistryAuth, reach: Reach): Promise<string | null> {
    const challenge = this.#challenge;
    if (challenge?.scheme !== "bearer" || !named(auth)) return null;
    return (await this.#fetch(what, challenge, [], auth, reach, true)).refreshToken;
  }

  #key(challenge: Challenge, scopes: readonly string[], auth: RegistryAuth): string {
    const { realm, service } = challenge.params;
    return JSON.stringify([realm, service, scopes, auth.username, auth.password, auth.identityToken]);
  }

  async #token(what: string, challenge: Challenge, scopes: readonly string[], auth: RegistryAuth, reach: Reach): Promise<Token> {
    const key = this.#key(challenge, scopes, auth);
    const known = this.#cache.get(key);
    if (known) {
      // Whoever asked first may have given up: that is no answer for the others.
      const token = await known.catch(() => null);
      if (token && token.until > Date.now()) return token;
      if (this.#cache.get(key) === known) this.#cache.delete(key);
      else return this.#token(what, challenge, scopes, auth, reach);
    }
    const fetching = this.#fetch(what, challenge, scopes, auth, reach, false);
    fetching.catch(() => this.#cache.get(key) === fetching && this.#cache.delete(key));
    this.#cache.set(key, fetching);
    return fetching;
  }

  async #fetch(
    what: string,
    challenge: Challenge,
    scopes: readonly string[],
    auth: RegistryAuth,
    reach: Reach,
    offline: boolean,
  ): Promise<Token> {
    const realm = realmOf(what, challenge, reach);
    const service = challenge.params.service;
    const ask = async (method: "GET" | "POST"): Promise<Answer> => {
      const fields = new URLSearchParams(service ? { service } : {});
      if (scopes.length > 0 && method === "POST") fields.set("scope", scopes.join(" "));
      try {
        if (method === "POST") {
          fields.set("client_id", CLIENT_ID);
          fields.set("grant_type", auth.identityToken ? "refresh_token" : "password");
          if (auth.identityToken) fields.set("refresh_token", auth.identityToken);
          else {
            fields.set("username", auth.username ?? "");
            fields.set("password", auth.password ?? "");
            if (offline) fields.set("access_type", "offline");
          }
          const headers = { "Content-Type": "application/x-www-form-urlencoded" };
          return await this.#transport.send(realm, { method, headers, body: fields.toString(), ...tlsOf(reach, realm) });
        }
        const url = new URL(realm);
        for (const [name, value] of fields) url.searchParams.set(name, value);
        for (const scope of scopes) url.searchParams.append("scope", scope);
        if (auth.username) url.searchParams.set("account", auth.username);
        if (offline) {
          url.searchParams.set("offline_token", "true");
          url.searchParams.set("client_id", CLIENT_ID);
        }
        const headers = named(auth) ? { Authorization: basic(auth) } : {};
        return await this.#transport.send(url, { method, headers, ...tlsOf(reach, realm) });
      } catch (error) {
        throw unreachable(`${what}: token server`, realm, error);
      }
    };
    let answer = await ask(auth.identityToken ? "POST" : "GET");
    if (!auth.identityToken && named(auth) && (answer.status === 404 || answer.status === 405)) {
      await answer.discard();
      answer = await ask("POST");
    }
    const body = new TextDecoder().decode((await answer.bytes(MAX_ANSWER)) ?? new Uint8Array());
    if (answer.status !== 200) throw refused(`${what}: token server ${shown(realm)}`, answer.status, body, "registry_error");
    return readToken(what, body, Date.now());
  }
}

const tlsOf = (reach: Reach, server: URL): { tls?: Tls } => {
  const tls = reach.tls(server);
  return tls ? { tls } : {};
};

const realmOf = (what: string, challenge: Challenge, { plain }: Reach): URL => {
  const text = challenge.params.realm ?? "";
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url?.protocol === "https:" || (url?.protocol === "http:" && plain(url))) return url;
  throw new OnggiError(
    "registry_answer_invalid",
    `${what}: the registry names the token server ${JSON.stringify(text.slice(0, 200))}, which is not https; nothing is sent there`,
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
