/**
 * The endpoints of one etcd: whichever answers is asked first from then on. Tokens are fetched when there is a user, and again when
 * etcd no longer takes them: it forgets them after five minutes without use, when it restarts, when users are changed.
 */
import { decodeStatus, decodeToken, type Fields, parseJson } from "./decode.ts";
import type { Body } from "./encode.ts";
import { Endpoint, EndpointFailure, failureOf, failureOfText, type MessageStream, type RawAnswer } from "./endpoint.ts";
import { EtcdError } from "./errors.ts";
import { mayPass, notDone, refusal, type Status, wantsToken, withoutAuth } from "./status.ts";
import { checkedTls } from "./tls.ts";
import type { EtcdOptions } from "./types.ts";

export interface Asking {
  /** It may be carried out twice. */
  readonly repeatable: boolean;
}

/** Milliseconds. */
const TIMEOUT = 5000;
/** Before all endpoints are asked again. */
const PAUSE = 100;
/** How often a request is sent with a new token. */
const RENEWALS = 2;

/** Throws EtcdError for what is no answer of etcd's. */
type Decode<T> = (answer: Fields) => T;

/** An error as a status, or what was asked for. */
type Outcome<T> = { readonly status: Status } | { readonly value: T };

/** Asks one endpoint, for so many milliseconds. */
type Try<T> = (endpoint: Endpoint, milliseconds: number) => Promise<Outcome<T>>;

/** Milliseconds that the clock of performance.now() has left until `end`. */
const leftUntil = (end: number): number => end - performance.now();

export class Cluster {
  readonly #endpoints: readonly Endpoint[];
  readonly #user: string | undefined;
  readonly #password: string;
  readonly #timeout: number;
  readonly #closing = new AbortController();
  /** The endpoint that is asked first. */
  #preferred = 0;
  /** Under way or there; "" where etcd wants none. */
  #token: Promise<string> | null = null;

  /** @throws EtcdError etcd_url_invalid, etcd_tls_invalid */
  constructor(options: EtcdOptions) {
    const { endpoints, user, password, timeout } = options;
    if (endpoints.length === 0) throw new EtcdError("etcd_url_invalid", "etcd has no endpoint: give one as http://10.0.0.1:2379");
    if (user !== undefined && password === undefined)
      throw new EtcdError("etcd_url_invalid", `etcd's user ${user} has no password: give one as etcd://user:password@host`);
    const tls = checkedTls(options);
    this.#endpoints = endpoints.map((url) => new Endpoint(originOf(url), tls));
    this.#user = user;
    this.#password = password ?? "";
    this.#timeout = timeout ?? TIMEOUT;
  }

  /** One request, and what `decode` makes of the answer. Throws EtcdError. */
  async ask<T>(path: string, body: Body, asking: Asking, decode: Decode<T>): Promise<T> {
    const end = performance.now() + this.#timeout;
    return this.#authorized(end, (token) => this.#ask(path, body, token, end, asking, decode));
  }

  /** A request for a stream of messages; it is the caller's to close. Throws EtcdError. */
  async stream<T>(
    path: string,
    body: Body,
    signal: AbortSignal,
    open: (stream: MessageStream, url: string) => Promise<Outcome<T>>,
  ): Promise<T> {
    const end = performance.now() + this.#timeout;
    return this.#authorized(end, (token) =>
      this.#each(end, { repeatable: true }, async (endpoint, milliseconds) => {
        const stream = await endpoint.stream(path, body, token, milliseconds, AbortSignal.any([signal, this.#closing.signal]));
        try {
          const outcome = await open(stream, endpoint.url);
          if ("status" in outcome) stream.close();
          return outcome;
        } catch (error) {
          stream.close();
          throw error;
        }
      }),
    );
  }

  /** Ends all that is under way. */
  close(): void {
    this.#closing.abort();
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #authorized<T>(end: number, work: (token: string) => Promise<Outcome<T>>): Promise<T> {
    for (let renewals = 0; ; renewals++) {
      const renewed = this.#currentToken(end);
      const outcome = await work(await renewed);
      if ("value" in outcome) return outcome.value;
      if (this.#user === undefined || !wantsToken(outcome.status) || renewals === RENEWALS) throw refusal(outcome.status);
      if (this.#token === renewed) this.#token = null;
    }
  }

  #currentToken(end: number): Promise<string> {
    if (this.#token) return this.#token;
    const token = this.#authenticate(end);
    this.#token = token;
    token.catch(() => {
      if (this.#token === token) this.#token = null;
    });
    return token;
  }

  async #authenticate(end: number): Promise<string> {
    if (this.#user === undefined) return "";
    const body = { name: this.#user, password: this.#password };
    const outcome = await this.#ask("/v3/auth/authenticate", body, "", end, { repeatable: true }, decodeToken);
    if ("value" in outcome) return outcome.value;
    if (withoutAuth(outcome.status)) return "";
    throw refusal(outcome.status);
  }

  #ask<T>(path: string, body: Body, token: string, end: number, asking: Asking, decode: Decode<T>): Promise<Outcome<T>> {
    return this.#each(end, asking, async (endpoint, milliseconds) =>
      outcomeOf(await endpoint.ask(path, body, token, milliseconds, this.#closing.signal), decode),
    );
  }

  /** Asks the endpoints in turn, and all of them again while one says that this will pass: a cluster chooses a leader. */
  async #each<T>(end: number, asking: Asking, attempt: Try<T>): Promise<Outcome<T>> {
    let failures: readonly EndpointFailure[] = [];
    for (;;) {
      const found: EndpointFailure[] = [];
      const outcome = await this.#round(end, asking, attempt, found);
      if (outcome) return outcome;
      // None if the time was up before the first.
      if (found.length > 0) failures = found;
      const uncertain = !asking.repeatable && failures.some((failure) => failure.uncertain);
      const passes = !uncertain && !this.isClosed && failures.some((failure) => failure.passes);
      if (!passes || leftUntil(end) <= PAUSE) throw this.#failure(failures, uncertain);
      await Bun.sleep(PAUSE);
    }
  }

  /**
   * Asks the endpoints in turn, until one answers. What must not be done twice goes to another one only if it has not reached the last.
   * Returns null if none does; `failures` are theirs then.
   */
  async #round<T>(end: number, { repeatable }: Asking, attempt: Try<T>, failures: EndpointFailure[]): Promise<Outcome<T> | null> {
    const first = this.#preferred;
    const count = this.#endpoints.length;
    for (let at = 0; at < count; at++) {
      const index = (first + at) % count;
      const endpoint = this.#endpoints[index]!;
      const share = leftUntil(end) / (count - at);
      if (share <= 0 || this.isClosed) return null;
      try {
        if (!repeatable && count > 1) await endpoint.reach(share, this.#closing.signal);
        const outcome = await attempt(endpoint, repeatable ? share : leftUntil(end));
        if ("status" in outcome && mayPass(outcome.status)) throw passing(outcome.status);
        this.#preferred = index;
        return outcome;
      } catch (error) {
        if (!(error instanceof EndpointFailure)) throw error;
        if (this.#preferred === index) this.#preferred = (index + 1) % count;
        error.message = `${endpoint.url}: ${error.message}`;
        failures.push(error);
        if (!repeatable && error.uncertain) return null;
      }
    }
    return null;
  }

  #failure(failures: readonly EndpointFailure[], uncertain: boolean): EtcdError {
    if (this.isClosed) return new EtcdError("etcd_unavailable", "etcd's client is closed", { uncertain });
    if (failures.length === 0) return new EtcdError("etcd_unavailable", "etcd cannot be used: no time was left to ask it");
    const message = failures.map((failure) => failure.message).join("; ");
    const { code } = failures[0]!;
    const same = failures.every((failure) => failure.code === code);
    return new EtcdError(same ? code : "etcd_unavailable", `etcd cannot be used: ${message}`, { uncertain });
  }
}

const passing = (status: Status): EndpointFailure =>
  new EndpointFailure(status.message, { uncertain: !notDone(status), passes: true });

/** "http://10.0.0.1:2379" */
function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (
    !url ||
    !/^https?:$/.test(url.protocol) ||
    url.username !== "" ||
    url.pathname !== "/" ||
    url.search !== "" ||
    url.hash !== ""
  )
    throw new EtcdError("etcd_url_invalid", "this is no endpoint of etcd: give one as http://10.0.0.1:2379");
  return url.origin;
}

/** What an answer says, whatever sent it. Throws EndpointFailure for what is none of etcd's. */
function outcomeOf<T>({ status, text }: RawAnswer, decode: Decode<T>): Outcome<T> {
  let fields: Fields;
  try {
    fields = parseJson(text);
  } catch {
    throw failureOfText(status, text);
  }
  const error = decodeStatus(fields);
  if (error) return { status: error };
  if (status !== 200) throw new EndpointFailure(`answers with HTTP status ${status}`, { code: "etcd_invalid_answer" });
  try {
    return { value: decode(fields) };
  } catch (error) {
    throw error instanceof EtcdError ? failureOf(error) : error;
  }
}
