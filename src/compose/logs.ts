import { codeOf, type Host } from "./host.ts";
import { label } from "./labels.ts";
import { isUp, type ObservedContainer, observedOf } from "./observe.ts";

/** What a project's containers write, line by line. */

export interface LogLine {
  readonly container: Named;
  readonly stream: "stdout" | "stderr";
  /** Without its end. */
  readonly text: string;
  /** RFC 3339 with nine digits. */
  readonly time: string;
}

/** A container, and what its lines are marked with: "web-1". */
export interface Named {
  readonly id: string;
  readonly mark: string;
}

export interface LogQuery {
  readonly tail?: number | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly follow?: boolean;
}

/** "web-1", or the name that the container was given. */
export const markOf = (project: string, { name }: ObservedContainer): string =>
  name.startsWith(`${project}-`) ? name.slice(project.length + 1) : name;

type Write = (line: LogLine) => void | Promise<void>;

/** Follows containers, each once at a time, from where it was left. */
export class LogReader {
  readonly #host: Host;
  readonly #write: Write;
  readonly #query: LogQuery;
  readonly #reading = new Map<string, Promise<void>>();
  /** The last line's time, by container. */
  readonly #last = new Map<string, string>();

  constructor(host: Host, query: LogQuery, write: Write) {
    this.#host = host;
    this.#write = write;
    this.#query = query;
  }

  /** Ends when the container does, or with the log where it is not followed. */
  async read(container: Named): Promise<void> {
    const before = this.#reading.get(container.id);
    const work = (before ?? Promise.resolve()).then(() => this.#read(container));
    this.#reading.set(container.id, work);
    await work;
  }

  /** All that is being read has been. */
  async settled(): Promise<void> {
    await Promise.all(this.#reading.values());
  }

  async #read(container: Named): Promise<void> {
    const { tail, since, until, follow } = this.#query;
    const last = this.#last.get(container.id);
    const from = last ?? since;
    const lines = { stdout: new Lines(), stderr: new Lines() };
    const take =
      (stream: "stdout" | "stderr") =>
      async (chunk: Uint8Array): Promise<void> => {
        for (const line of lines[stream].push(chunk)) await this.#line(container, stream, line, last);
      };
    const request = {
      ...{ container: container.id, timestamps: true, follow: follow ?? false },
      ...(tail === undefined || last !== undefined ? {} : { tail }),
      ...(from === undefined ? {} : { since: from }),
      ...(until === undefined ? {} : { until }),
    };
    try {
      await this.#host.call("logs", request, { stdout: take("stdout"), stderr: take("stderr") }, this.#host.signal);
    } catch (error) {
      // one that is gone has said all that it had to say
      if (codeOf(error) !== "container_not_found" && !this.#host.signal.aborted) throw error;
    }
    for (const stream of ["stdout", "stderr"] as const) {
      const rest = lines[stream].rest();
      if (rest !== "") await this.#line(container, stream, rest, last);
    }
  }

  async #line(container: Named, stream: "stdout" | "stderr", line: string, last: string | undefined): Promise<void> {
    const space = line.indexOf(" ");
    const time = line.slice(0, space);
    if (last !== undefined && time <= last) return;
    this.#last.set(container.id, time);
    await this.#write({ container, stream, time, text: line.slice(space + 1).replace(/\r$/, "") });
  }
}

/** Bytes cut into lines. */
class Lines {
  readonly #decoder = new TextDecoder();
  #rest = "";

  push(chunk: Uint8Array): string[] {
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = parts.pop()!;
    return parts;
  }

  rest(): string {
    const rest = this.#rest + this.#decoder.decode();
    this.#rest = "";
    return rest;
  }
}

export interface ContainerEvent {
  readonly action: string;
  readonly id: string;
  readonly service: string;
  readonly exitCode: number;
}

/** What happens to a project's containers from now on, until `signal`; `opened` is called when nothing is missed any more. */
export async function followEvents(
  host: Host,
  project: string,
  tell: (event: ContainerEvent) => void,
  signal: AbortSignal,
  opened: () => void = () => {},
): Promise<void> {
  const filters = { type: ["container"], label: [`${label.project}=${project}`] };
  try {
    await host.call(
      "events",
      { filters },
      {
        opened,
        item: ({ action, id, attributes }) =>
          tell({ action, id, service: attributes[label.service] ?? "", exitCode: Number(attributes.exitCode ?? 0) }),
      },
      signal,
    );
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** A container's state as it is now; undefined: there is none any more. */
export async function currentOf(host: Host, id: string): Promise<ObservedContainer | undefined> {
  const { containers } = await host.call("list", { all: true, filters: { id: [id] } });
  return containers[0] && observedOf(containers[0]);
}

/** Reads what is there and, where that is followed, what containers that are started later write. */
export async function showLogs(
  host: Host,
  project: string,
  containers: readonly ObservedContainer[],
  query: LogQuery,
  wanted: (container: ObservedContainer) => boolean,
  write: Write,
): Promise<void> {
  const reader = new LogReader(host, query, write);
  const read = (container: ObservedContainer): Promise<void> =>
    reader.read({ id: container.id, mark: markOf(project, container) });
  if (!query.follow) {
    await Promise.all(containers.map(read));
    return;
  }
  const over = new AbortController();
  const signal = AbortSignal.any([host.signal, over.signal]);
  const started = followEvents(
    host,
    project,
    ({ action, id }) => {
      if (action !== "start") return;
      void currentOf(host, id)
        .then((container) => (container && wanted(container) ? read(container) : undefined))
        .catch(() => {});
    },
    signal,
  );
  await Promise.all(containers.map(read));
  if (!containers.some(isUp)) over.abort();
  await started;
}
