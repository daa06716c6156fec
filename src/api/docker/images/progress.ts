/** Work that tells how it goes: a JSON object a line, as Docker's clients draw it. */
import type { Progress } from "../../../engine/types.ts";
import { begun } from "../../../lib/streams.ts";
import type { HttpAnswer } from "../../http/types.ts";
import { failureOf } from "../errors.ts";

/** One line. Those with the same id take the same row of a terminal. */
export interface Message {
  readonly id?: string;
  readonly status?: string;
  /** Printed as it is. */
  readonly stream?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
  /** For programs. */
  readonly aux?: object;
}

/** Lines that a slow client may be behind; beyond that it is not told of every step of a transfer. */
const MAX_BEHIND = 1000;

async function* linesOf(work: (tell: (message: Message) => void) => Promise<void>): AsyncGenerator<string, void, void> {
  const waiting: Message[] = [];
  let wake = (): void => {};
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  const tell = (message: Message): void => {
    if (waiting.length >= MAX_BEHIND && message.progressDetail?.current !== undefined) return;
    waiting.push(message);
    wake();
  };
  void work(tell)
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      ended = true;
      wake();
    });
  let told = false;
  for (;;) {
    for (let message = waiting.shift(); message; message = waiting.shift()) {
      told = true;
      yield `${JSON.stringify(message)}\n`;
    }
    if (ended) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  if (!failure) return;
  if (!told) throw failure.error;
  const { message } = failureOf(failure.error);
  yield `${JSON.stringify({ errorDetail: { message }, error: message })}\n`;
}

/** What fails before anything was told is thrown, and so an answer with a status; later it is the last line. */
export const progressAnswer = async (work: (tell: (message: Message) => void) => Promise<void>): Promise<HttpAnswer> => ({
  status: 200,
  headers: { "Content-Type": "application/json" },
  body: await begun(linesOf(work)),
});

/** Steps of a transfer that have an amount; the others are words. */
const MOVING: ReadonlySet<string> = new Set(["Downloading", "Pushing", "Loading layer"]);

/** The engine's steps as lines. */
export const stepsTo =
  (tell: (message: Message) => void): Progress =>
  ({ id, message, current, total }) =>
    tell({
      status: message,
      progressDetail: MOVING.has(message) ? { current, ...(total === undefined ? {} : { total }) } : {},
      id,
    });
