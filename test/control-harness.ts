import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call } from "../src/api/control/client.ts";
import { type ControlServer, type Handlers, serve } from "../src/api/control/server.ts";
import { main } from "../src/cli/cli.ts";
import type { Context, Sink } from "../src/cli/context.ts";
import { Exit } from "../src/cli/errors.ts";

/** The command line against a real control server whose handlers a test writes. */

export interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

export class ControlHarness {
  readonly directory = mkdtempSync(join(tmpdir(), "onggi-cli-"));
  readonly run = join(this.directory, "run");
  readonly root = join(this.directory, "root");
  handlers: Partial<Handlers> = {};
  #server: ControlServer | undefined;

  async start(): Promise<void> {
    mkdirSync(this.run, { recursive: true });
    // looked up at every call, so that each test sets its own
    const handlers = new Proxy({} as Handlers, {
      get: (_, name) => this.handlers[name as keyof Handlers],
      getOwnPropertyDescriptor: (_, name) =>
        name in this.handlers
          ? { configurable: true, enumerable: true, value: this.handlers[name as keyof Handlers] }
          : undefined,
    });
    this.#server = await serve({ path: join(this.run, "onggi.sock"), handlers });
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Runs a command line in this process. */
  async command(argv: string[], options: { stdin?: string; env?: Record<string, string> } = {}): Promise<Outcome> {
    const stdout = new Collector();
    const stderr = new Collector();
    const socket = join(this.run, "onggi.sock");
    const context: Context = {
      root: this.root,
      run: this.run,
      selected: { context: "default", endpoint: { kind: "local" } },
      socket,
      cwd: "/jars",
      env: options.env ?? {},
      version: "1.2.3",
      stdout,
      stderr,
      stdin: () => new Response(options.stdin ?? "").body as ReadableStream<Uint8Array>,
      signals: { on: () => () => {} },
      terminal: async () => ({ isTerminal: () => false, size: () => undefined, raw: () => () => {} }),
      call: (name, request, handlers, signal) => call(socket, name, request, handlers, signal),
      callRunning: (name, request, handlers, signal) => call(socket, name, request, handlers, signal),
      startEngine: async () => false,
      exit: (code) => {
        throw new Exit(code);
      },
      serveEngine: async () => {},
      checkEngine: () => Promise.reject(new Error("no engine here")),
      serviceManager: async () => ({ ready() {}, stopping() {} }),
      serveResolver: async () => {},
    };
    const exitCode = await main(argv, () => context);
    return { exitCode, stdout: stdout.text, stderr: stderr.text };
  }

  /** The real program's command line against this harness's server, for a shell. */
  get program(): string {
    return `${process.execPath} ${join(import.meta.dir, "../src/main.ts")} --root ${this.root} --run ${this.run}`;
  }

  /** Starts the real program in a process of its own. */
  spawn(argv: string[]): Bun.Subprocess<"pipe", "pipe", "pipe"> {
    return Bun.spawn([...this.program.split(" "), ...argv], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  }
}

class Collector implements Sink {
  text = "";
  readonly #decoder = new TextDecoder();

  async write(chunk: Uint8Array | string): Promise<void> {
    this.text += typeof chunk === "string" ? chunk : this.#decoder.decode(chunk, { stream: true });
  }
}
