import { Etcd, EtcdError, type EtcdErrorCode, type EtcdOptions, type WatchBatch } from "../../src/networks/overlay/etcd/index.ts";
import { bindSocket, close, connectSocket, localPort, socketAddress } from "../../src/sys/index.ts";
import { type EtcdServer, startEtcd } from "../kit/etcd.ts";

/** An etcd of its own for a file of tests, and the clients they make of it and of others. */
export class EtcdClients implements AsyncDisposable {
  readonly #made: Etcd[] = [];
  readonly server: EtcdServer;

  private constructor(server: EtcdServer) {
    this.server = server;
  }

  static async start(): Promise<EtcdClients> {
    return new EtcdClients(await startEtcd());
  }

  client(options: Partial<EtcdOptions> = {}, of = this.server): Etcd {
    const made = new Etcd({ ...of.options, ...options });
    this.#made.push(made);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const one of this.#made) one.close();
    await this.server.close();
  }
}

let prefixes = 0;
/** Where only one test writes. */
export const prefix = (): string => `/onggi/${prefixes++}/`;

export const put = (key: string, value: string, of: Etcd): Promise<unknown> =>
  of.transaction({ compare: [], success: [{ put: key, value }] });

/** How something fails. */
export async function failure(work: Promise<unknown>): Promise<EtcdError> {
  const error = await work.then(
    () => new Error("did not fail"),
    (thrown) => thrown,
  );
  if (!(error instanceof EtcdError)) throw error;
  return error;
}

export const code = async (work: Promise<unknown>): Promise<EtcdErrorCode> => (await failure(work)).code;

/** A watch that collects. */
export function follow(of: Etcd, where: string, from: number) {
  const stop = new AbortController();
  const batches: WatchBatch[] = [];
  const opened = Promise.withResolvers<void>();
  const waiting = new Set<() => void>();
  const run = async (): Promise<void> => {
    for await (const batch of of.watch(where, from, { signal: stop.signal, opened: opened.resolve })) {
      batches.push(batch);
      for (const wake of waiting) wake();
    }
  };
  const done = run();
  done.catch(() => {}).finally(opened.resolve);
  const events = () => batches.flatMap((batch) => batch.events);
  const seen = async (count: number): Promise<string[]> => {
    while (events().length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.add(resolve);
      await Promise.race([promise, done]);
      waiting.delete(resolve);
    }
    return events().map((event) => (event.type === "put" ? `${event.entry.key}=${event.entry.value}` : `-${event.key}`));
  };
  return { done, opened: opened.promise, batches, seen, stop: () => stop.abort() };
}

/** Where connections are never made: the queue is full and nobody takes from it. */
export class BlackHole {
  readonly #sockets: number[];
  readonly url: string;

  constructor() {
    const loopback = Uint8Array.of(127, 0, 0, 1);
    const listener = bindSocket(socketAddress(loopback, 0), 1, 0);
    const port = localPort(listener);
    // A queue of length 0 holds one.
    this.#sockets = [listener, connectSocket(socketAddress(loopback, port), 1)];
    this.url = `http://127.0.0.1:${port}`;
  }

  close(): void {
    for (const fd of this.#sockets) close(fd);
  }
}
