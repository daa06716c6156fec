/**
 * When a container is ready: `port(80)`, `log(/ready/)`, `health()`, `http("/")`, `command([...])`, `exit()`, and of several `all` or `any`.
 *
 *     await onggi.run("postgres", [], { ports: [5432], waitFor: all(port(5432), log(/ready to accept/, { times: 2 })) });
 */
import { connect } from "node:net";
import { messageOf } from "../lib/errors.ts";
import { invalid, isOnggiError, WaitError, type WaitErrorCode } from "./errors.ts";
import { ask } from "./http-request.ts";
import type { LogOptions } from "./options.ts";
import type { ContainerDetails, ExecResult, ExitStatus, LogLine } from "./values.ts";

/** What can be asked of a container that is not ready yet. */
export interface ReadyContainer {
  readonly id: string;
  inspect(signal: AbortSignal): Promise<ContainerDetails>;
  logs(options: LogOptions): AsyncIterable<LogLine>;
  exec(command: readonly string[], signal: AbortSignal): Promise<ExecResult>;
  address(port: number): Promise<{ host: string; port: number }>;
  /** Its end. */
  ended(signal: AbortSignal): Promise<ExitStatus>;
}

export interface Waiting {
  /** Aborted when nobody waits any more. */
  readonly signal: AbortSignal;
  /** Why it is not ready yet, for the error's message. */
  note(why: string): void;
}

/** A way to tell that a container is ready; anybody may write another one. */
export interface Readiness {
  /** "port 80": completes "waited for". */
  readonly what: string;
  /** Resolves when it is ready. */
  wait(container: ReadyContainer, waiting: Waiting): Promise<void>;
}

/** How often it is looked, in milliseconds: at first soon, then less and less often. */
const FIRST_PAUSE = 20;
const LONGEST_PAUSE = 250;

/** So long after the container's end what waits for its output may still see it, in milliseconds. */
const AFTERMATH = 500;

/** Lines of the log that an error shows. */
const LAST_LINES = 20;

/** It takes connections on a TCP port: as it is published, else at its own address. */
export function port(number: number): Readiness {
  return {
    what: `port ${number}`,
    wait: async (container, waiting) => {
      await repeat(waiting, async () => {
        const { host, port } = await container.address(number);
        await connects(host, port, waiting.signal);
        return true;
      });
    },
  };
}

export interface LogReadiness {
  /** As many lines must match; 1 by default. */
  readonly times?: number;
  /** By default both. */
  readonly stream?: "stdout" | "stderr";
}

/** It has said a line that has the text, or matches the expression. */
export function log(pattern: string | RegExp, { times = 1, stream }: LogReadiness = {}): Readiness {
  const matches = (text: string): boolean =>
    typeof pattern === "string"
      ? text.includes(pattern)
      : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, "")).test(text);
  return {
    what: `${times > 1 ? `${times} lines` : "a line"} of its log with ${typeof pattern === "string" ? JSON.stringify(pattern) : pattern}`,
    wait: async (container, { signal, note }) => {
      // the log ends with the container; one that is started again goes on with it
      for (;;) {
        let seen = 0;
        for await (const line of container.logs({ follow: true, signal })) {
          if ((stream && line.stream !== stream) || !matches(line.text)) continue;
          seen += 1;
          if (seen === times) return;
          note(`${seen} of ${times} lines were there`);
        }
        await pause(LONGEST_PAUSE, signal);
      }
    },
  };
}

/** Its health check says that it is healthy. */
export function health(): Readiness {
  return {
    what: "its health check",
    wait: (container, waiting) =>
      repeat(waiting, async () => {
        const { health: found, name } = await container.inspect(waiting.signal);
        if (!found) throw invalid(`container ${name} has no health check, so it never becomes healthy: give run() \`health\``);
        const last = found.log.at(-1);
        waiting.note(`it is ${found.status}${last?.output ? `: ${last.output.trim()}` : ""}`);
        return found.status === "healthy";
      }),
  };
}

export interface HttpReadiness {
  /** The container's. */
  readonly port: number;
  /** By default any from 200 to 399. */
  readonly status?: number | ((status: number) => boolean);
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: (text: string) => boolean;
  readonly protocol?: "http" | "https";
  /** With "https": any certificate will do, also one of its own making. */
  readonly insecure?: boolean;
}

/** It answers an HTTP request. */
export function http(path: string, options: HttpReadiness): Readiness {
  const { port: number, status, method = "GET", headers = {}, body, protocol = "http", insecure = false } = options;
  const accepts = (found: number): boolean =>
    typeof status === "function" ? status(found) : status === undefined ? found >= 200 && found < 400 : found === status;
  return {
    what: `${method} ${path} on port ${number}`,
    wait: (container, waiting) =>
      repeat(waiting, async () => {
        const { host, port } = await container.address(number);
        const at = `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}${path.startsWith("/") ? "" : "/"}${path}`;
        const signal = AbortSignal.any([waiting.signal, AbortSignal.timeout(5000)]);
        const answer = await ask(at, { method, headers, insecure, signal }, body !== undefined);
        waiting.note(`it answered ${answer.status}`);
        return accepts(answer.status) && (body === undefined || body(answer.text));
      }),
  };
}

/** A command in it exits with 0, or another code. */
export function command(words: readonly string[], { exitCode = 0 }: { exitCode?: number } = {}): Readiness {
  return {
    what: `"${words.join(" ")}" to exit with ${exitCode}`,
    wait: (container, waiting) =>
      repeat(waiting, async () => {
        const result = await container.exec(words, waiting.signal);
        waiting.note(`it exited with ${result.exitCode}: ${(result.stderr || result.stdout).trim().slice(-500)}`);
        return result.exitCode === exitCode;
      }),
  };
}

/** It has ended, with that code: for what does its work and exits. */
export function exit(code = 0): Readiness {
  return {
    what: `its end with ${code}`,
    wait: async (container, { signal, note }) => {
      const { exitCode } = await container.ended(signal);
      if (exitCode === code) return;
      note(`it ended with ${exitCode}`);
      await aborted(signal);
    },
  };
}

/** All of them. */
export function all(...parts: readonly Readiness[]): Readiness {
  return {
    what: parts.map(({ what }) => what).join(" and "),
    wait: async (container, waiting) => {
      const open = new Map<Readiness, string>(parts.map((part) => [part, ""]));
      const tell = () => waiting.note([...open].map(([{ what }, why]) => `${what}${why && ` (${why})`}`).join(" and "));
      await Promise.all(
        parts.map(async (part) => {
          const note = (why: string): void => {
            open.set(part, why);
            tell();
          };
          await part.wait(container, { signal: waiting.signal, note });
          open.delete(part);
          tell();
        }),
      );
    },
  };
}

/** One of them. */
export function any(...parts: readonly Readiness[]): Readiness {
  return {
    what: parts.map(({ what }) => what).join(" or "),
    wait: async (container, waiting) => {
      if (parts.length === 0) throw invalid("any() needs something to wait for");
      const enough = new AbortController();
      const signal = AbortSignal.any([waiting.signal, enough.signal]);
      try {
        await Promise.race(parts.map((part) => part.wait(container, { signal, note: waiting.note })));
      } finally {
        enough.abort();
      }
    },
  };
}

/** Several are all of them. Throws `invalid_option` for what plain JavaScript, or a cast, may hand over. */
export function readinessOf(given: Readiness | readonly Readiness[]): Readiness {
  const parts: readonly Readiness[] = Array.isArray(given) ? given : [given];
  for (const part of parts as readonly unknown[]) {
    if (typeof (part as Readiness | undefined)?.wait === "function") continue;
    const found = typeof part === "string" ? JSON.stringify(part) : `a ${typeof part}`;
    throw invalid(`waitFor: ${found} is nothing to wait for; give port(80), log("ready"), http("/", { port: 80 }) or the like`);
  }
  return parts.length === 1 ? (parts[0] as Readiness) : all(...parts);
}

/** Waits until a container is ready, at most `timeout` milliseconds. Throws WaitError, and the reason of `signal`. */
export async function untilReady(
  container: ReadyContainer,
  given: Readiness | readonly Readiness[],
  timeout: number,
  signal?: AbortSignal,
): Promise<void> {
  signal?.throwIfAborted();
  const readiness = readinessOf(given);
  const over = new AbortController();
  const timer = setTimeout(() => over.abort(timedOut), timeout);
  const either = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  let why = "";
  const note = (text: string): void => {
    why = text;
  };
  const fail = (code: WaitErrorCode, name: string, what: string) =>
    lastLines(container).then((lines) => {
      const waited = `waited for ${readiness.what}${why && why !== readiness.what ? ` (${why})` : ""}`;
      return new WaitError(code, `container ${name} ${what}; ${waited}`, readiness.what, lines);
    });
  try {
    const ready = readiness.wait(container, { signal: either, note }).then(() => null);
    ready.catch(() => {});
    const end = await Promise.race([ready, endOf(container, either), aborted(either)]);
    // what it has said at last may be what was waited for
    if (end === null || (await Promise.race([ready, pause(AFTERMATH, either).then(() => end)])) === null) return;
    const error = end.error ? ` (${end.error})` : "";
    throw await fail("container_exited", end.name, `ended with ${end.exitCode}${error} before it was ready`);
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (over.signal.reason !== timedOut || error instanceof WaitError) throw error;
    const name = await container.inspect(AbortSignal.timeout(5000)).then(
      (details) => details.name,
      () => container.id.slice(0, 12),
    );
    throw await fail("wait_timeout", name, `was not ready after ${timeout / 1000} s`);
  } finally {
    clearTimeout(timer);
    over.abort(done);
  }
}

/** Reasons of an abort. */
const timedOut = new Error("the time to become ready is over");
const done = new Error("nobody waits any more");

interface End {
  readonly name: string;
  readonly exitCode: number;
  readonly error: string;
}

/** Resolves when the container has ended for good: one that its policy starts again has not. */
async function endOf(container: ReadyContainer, signal: AbortSignal): Promise<End> {
  for (;;) {
    const { exitCode, error = "" } = await container.ended(signal);
    try {
      const { name, status } = await container.inspect(signal);
      if (status !== "running" && status !== "restarting" && status !== "paused") return { name, exitCode, error };
    } catch (failure) {
      if (!isOnggiError(failure, "container_not_found")) throw failure;
      return { name: container.id.slice(0, 12), exitCode, error };
    }
    await pause(LONGEST_PAUSE, signal);
  }
}

async function lastLines(container: ReadyContainer): Promise<string[]> {
  const lines: string[] = [];
  try {
    for await (const { text } of container.logs({ tail: LAST_LINES, signal: AbortSignal.timeout(5000) })) lines.push(text);
  } catch {
    // the container has gone with its log
  }
  return lines;
}

/** Asks again and again until the answer is true; an error counts as no, unless it says that it never can be. */
async function repeat({ signal, note }: Waiting, ask: () => Promise<boolean>): Promise<void> {
  for (let rest = FIRST_PAUSE; ; rest = Math.min(rest * 1.5, LONGEST_PAUSE)) {
    signal.throwIfAborted();
    try {
      if (await ask()) return;
    } catch (error) {
      if (isOnggiError(error, "invalid_option", "container_not_found", "engine_unreachable")) throw error;
      signal.throwIfAborted();
      note(reasonOf(error));
    }
    await pause(rest, signal);
  }
}

/** Of a request that was cut off, why. */
const reasonOf = (error: unknown): string => {
  const { cause } = error as { cause?: unknown };
  return cause instanceof Error ? messageOf(cause) : messageOf(error);
};

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** Rejects when the signal is aborted, and never resolves. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

function connects(host: string, port: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: 2000 });
    const over = (error?: unknown): void => {
      signal.removeEventListener("abort", stop);
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    const stop = (): void => over(signal.reason);
    socket.once("connect", () => over());
    socket.once("error", over);
    socket.once("timeout", () => over(new Error(`no answer from ${host}:${port}`)));
    signal.addEventListener("abort", stop, { once: true });
  });
}
