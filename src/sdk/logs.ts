import { OnggiError } from "../lib/errors.ts";
import { streamOf } from "../lib/streams.ts";
import { type Feed, follow } from "./channel.ts";
import type { Link } from "./link.ts";
import type { LogOptions } from "./options.ts";
import { moment } from "./units.ts";
import type { LogLine } from "./values.ts";

/**
 * A container's output as it was recorded, oldest line first.
 *
 *     for await (const { stream, text } of container.logs({ follow: true })) console.log(stream, text);
 *     const all = await container.logs().text();
 */
export class Logs implements AsyncIterable<LogLine> {
  readonly #lines: () => Feed<LogLine>;

  private constructor(lines: () => Feed<LogLine>) {
    this.#lines = lines;
  }

  /** @internal */
  static of(link: Link, container: string, options: LogOptions): Logs {
    return new Logs(() => readLogs(link, container, options));
  }

  [Symbol.asyncIterator](): AsyncIterator<LogLine> {
    return this.#lines();
  }

  /** Lines, each with its end, as a web stream: `writeFile("web.log", logs.stream())`. */
  stream(): ReadableStream<Uint8Array> {
    return streamOf(encoded(this));
  }

  /** All lines of both streams, each with its end. */
  async text(): Promise<string> {
    let text = "";
    for await (const line of this) text += `${line.text}\n`;
    return text;
  }
}

async function* encoded(lines: AsyncIterable<LogLine>): AsyncGenerator<Uint8Array, void, void> {
  const encoder = new TextEncoder();
  for await (const { text } of lines) yield encoder.encode(`${text}\n`);
}

function readLogs(link: Link, container: string, options: LogOptions): Feed<LogLine> {
  const { since, until } = options;
  const request = {
    container,
    timestamps: true,
    ...(options.follow ? { follow: true } : {}),
    ...(options.tail === undefined ? {} : { tail: options.tail }),
    ...(since === undefined ? {} : { since: moment(since, "since") }),
    ...(until === undefined ? {} : { until: moment(until, "until") }),
    ...(options.stdout === undefined ? {} : { stdout: options.stdout }),
    ...(options.stderr === undefined ? {} : { stderr: options.stderr }),
  };
  return follow(async (push, signal) => {
    const joins = { stdout: new Joiner("stdout"), stderr: new Joiner("stderr") };
    const take = (stream: "stdout" | "stderr") => (chunk: Uint8Array) => {
      const line = joins[stream].add(chunk);
      return line && push(line);
    };
    await link.call("logs", request, { stdout: take("stdout"), stderr: take("stderr") }, signal);
    for (const join of Object.values(joins)) {
      const rest = join.end();
      if (rest) push(rest);
    }
  }, options.signal);
}

/** Puts entries together to lines: a long line was recorded in several, of which the last ends in a line feed. */
class Joiner {
  readonly #stream: "stdout" | "stderr";
  readonly #decoder = new TextDecoder();
  #text = "";
  #time = "";

  constructor(stream: "stdout" | "stderr") {
    this.#stream = stream;
  }

  /** One entry as the engine sends it: its time, a space, its text. */
  add(chunk: Uint8Array): LogLine | undefined {
    const space = chunk.indexOf(0x20);
    if (space < 0) throw new OnggiError("protocol_error", "an entry of a log has no time");
    this.#time ||= this.#decoder.decode(chunk.subarray(0, space));
    this.#text += this.#decoder.decode(chunk.subarray(space + 1), { stream: true });
    return this.#text.endsWith("\n") ? this.#line(this.#text.replace(/\r?\n$/, "")) : undefined;
  }

  end(): LogLine | undefined {
    return this.#text === "" ? undefined : this.#line(this.#text);
  }

  #line(text: string): LogLine {
    const line = { stream: this.#stream, text, time: this.#time };
    this.#text = "";
    this.#time = "";
    return line;
  }
}
