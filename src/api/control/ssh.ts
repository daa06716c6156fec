import { execFile, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Transport, TransportEvents } from "./connection.ts";
import { type SshEndpoint, sshCommand, sshSettingsCommand } from "./endpoint.ts";

/** What keeps a process from ending while it is open. */
export interface Held {
  ref(): void;
  unref(): void;
}

export interface SshOptions {
  /** An engine is started there when none answers. */
  readonly start: boolean;
  /** Where ssh's own messages go: to standard error, or into the error that is thrown. */
  readonly messages: "inherit" | "pipe";
  /** Is told of the connection, to let the process end while it is open. */
  readonly made?: ((held: Held) => void) | undefined;
}

/** Of ssh's messages, in an error. */
const MAX_SAID = 2000;

/** ssh's exit code where it failed itself; any other is that of what it ran there. */
const OWN_FAILURE = 255;

/** How often ssh asks a host that says nothing whether it is there, in seconds; after three times without an answer it gives up. */
const ALIVE_INTERVAL = 30;

/** How long ssh may take to say what it is set to, and to end behind its output, in milliseconds. */
const SETTINGS_PATIENCE = 5000;
const END_PATIENCE = 1000;

/**
 * Carries the control protocol over ssh: one ssh a call, whose standard streams are the connection. By itself ssh does not notice that a
 * network has silently gone; here it does, unless the user's configuration of ssh has an interval of its own.
 */
export const sshTransport =
  (endpoint: SshEndpoint, options: SshOptions): Transport =>
  async (_, events, signal) => {
    const aliveInterval = (await hasAliveInterval(endpoint)) ? undefined : ALIVE_INTERVAL;
    signal?.throwIfAborted();
    await connect(sshCommand(endpoint, { start: options.start, aliveInterval }), options, events, signal);
  };

/** An option on the command line would override the user's own, so ssh is asked for that first. It does not tell 0 from none. */
const hasAliveInterval = (endpoint: SshEndpoint): Promise<boolean> =>
  new Promise((resolve) => {
    const [command = "", ...args] = sshSettingsCommand(endpoint);
    const ssh = execFile(command, args, { timeout: SETTINGS_PATIENCE }, (_, said) =>
      resolve(/^serveraliveinterval [1-9]/m.test(said)),
    );
    ssh.stdin?.on("error", () => {}).end();
  });

const connect = (
  [command = "", ...args]: string[],
  { messages, made }: SshOptions,
  events: TransportEvents,
  signal: AbortSignal | undefined,
): Promise<void> =>
  new Promise((resolve, reject) => {
    // a session of its own: what is typed as a signal is for the container, not for ssh
    const ssh = spawn(command, args, { stdio: ["pipe", "pipe", messages], detached: true });
    const { stdin, stdout, stderr } = ssh as typeof ssh & { stdin: Writable; stdout: Readable };
    let said = "";
    stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-MAX_SAID);
    });
    const held = together([ssh, stdin, stdout, stderr]);
    made?.(held);
    let isClosed = false;
    // it is not killed, others may log in over it: with nothing to carry it ends by itself
    const leave = (): void => {
      stdin.end();
      stdout.destroy();
      held.unref();
    };
    signal?.addEventListener("abort", leave, { once: true });
    ssh.once("error", (error) => reject(new Error(`ssh cannot be run: ${error.message}`)));
    ssh.once("close", () => signal?.removeEventListener("abort", leave));
    const failure = new Promise<string | undefined>((tell) => {
      ssh.once("close", (code, signal) => {
        const why = `ssh ended with ${signal ?? `exit code ${code}`}${said && `: ${said.trim()}`}`;
        // it has ended without a byte: nothing there has taken the connection
        reject(new Error(why));
        tell(code === OWN_FAILURE || signal !== null ? why : undefined);
      });
    });
    // what cannot be sent any more: the end of its output tells
    stdin.on("error", () => {});
    stdout.once("data", (first: Uint8Array) => {
      signal?.removeEventListener("abort", leave);
      stdout.pause();
      events.open({
        write(bytes) {
          // the protocol's window bounds what is not taken yet
          if (!isClosed) stdin.write(bytes.slice());
          return bytes.length;
        },
        pause: () => void stdout.pause(),
        resume: () => void stdout.resume(),
        terminate() {
          isClosed = true;
          stdin.end();
          // it is not killed: other calls may go over its connection
          stdout.destroy();
        },
      });
      const tell = (chunk: Uint8Array): void => {
        if (!isClosed) events.data(chunk);
      };
      stdout.on("data", tell);
      for (const over of ["end", "close", "error"]) {
        stdout.once(over, () => {
          if (isClosed) return;
          // it says why when it ends itself; one that others log in over need not end
          const timer = setTimeout(() => events.end(), END_PATIENCE);
          void failure.then((why) => {
            clearTimeout(timer);
            events.end(why);
          });
        });
      }
      resolve();
      // the request goes first
      setImmediate(() => {
        tell(first);
        stdout.resume();
      });
    });
  });

function together(parts: readonly unknown[]): Held {
  const each = (name: keyof Held) => () => {
    // not every runtime's streams of a process have both
    for (const part of parts) (part as Partial<Held> | null)?.[name]?.();
  };
  return { ref: each("ref"), unref: each("unref") };
}
