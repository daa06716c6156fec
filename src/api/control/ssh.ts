import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Transport } from "./connection.ts";
import { type SshEndpoint, sshCommand } from "./endpoint.ts";

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

/** Carries the control protocol over ssh: one ssh a call, whose standard streams are the connection. */
export const sshTransport =
  (endpoint: SshEndpoint, { start, messages, made }: SshOptions): Transport =>
  (_, events, signal) =>
    new Promise((resolve, reject) => {
      const [command = "", ...args] = sshCommand(endpoint, start);
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
      // it has ended without a byte: nothing there has taken the connection
      ssh.once("close", (code, signal) =>
        reject(new Error(`ssh ended with ${signal ?? `exit code ${code}`}${said && `: ${said.trim()}`}`)),
      );
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
        for (const over of ["end", "close", "error"]) stdout.on(over, () => events.end());
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
