import type { Caller, CallHandlers } from "../api/control/client.ts";
import { call, EngineUnreachable } from "../api/control/client.ts";
import { addressOf } from "../api/control/endpoint.ts";
import type { CallName, Calls } from "../api/control/protocol.ts";
import type { Configuration } from "../api/control/types.ts";
import type { Selected } from "../contexts/contexts.ts";
import type { Locations } from "./cli.ts";
import type { Context, EngineFlags, Signals, Terminal } from "./context.ts";
import { selectEngine } from "./context-store.ts";
import type { EngineSettings } from "./engine-settings.ts";
import { UsageError } from "./errors.ts";
import { Output } from "./output.ts";

/** The real surroundings of a command, for `src/main.ts`. */

export interface HostOptions {
  version: string;
  /** Loads what reaches the terminal: system calls, which this layer does not make. */
  terminal: () => Promise<Terminal>;
  /** `read` gives what is written by now. */
  serveEngine: (locations: { root: string; run: string; socket: string }, read: () => EngineSettings) => Promise<void>;
  checkConfiguration: (configuration: Configuration) => Promise<void>;
  serveResolver: (run: string) => Promise<void>;
  serviceManager: Context["serviceManager"];
}

/** Reasons to start an engine: nobody is there. */
const absent = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET"]);

export function hostContext(options: HostOptions): (locations: Locations) => Context {
  const stdout = new Output(1);
  const stderr = new Output(2);
  return (locations) => {
    const { env } = process;
    const cwd = process.cwd();
    let chosen: Selected | undefined;
    const selected = (): Selected => (chosen ??= selectEngine(locations, env));
    const root = absolute(locations.root ?? (env.ONGGI_ROOT || "/var/lib/onggi"), cwd);
    const run = absolute(locations.run ?? (env.ONGGI_RUN || "/run/onggi"), cwd);
    const where = { root, run, socket: `${run}/onggi.sock` };
    const socket = (): string => addressOf(selected().endpoint, where.socket);

    /** `start`: on another host an engine is started when none answers; here that takes a second call. */
    const callOnce =
      (start: boolean): Caller =>
      async (name, request, handlers, signal) => {
        const { endpoint } = selected();
        if (endpoint.kind !== "ssh") return call(socket(), name, request, handlers, signal);
        const { callOver } = await import("../api/control/connection.ts");
        const { sshTransport } = await import("../api/control/ssh.ts");
        return callOver(sshTransport(endpoint, { start, messages: "inherit" }), socket(), name, request, handlers, signal);
      };
    const callRunning = callOnce(false);
    const startEngine = async (flags?: EngineFlags): Promise<boolean> => {
      if (selected().endpoint.kind !== "local") throw new UsageError("an engine is started on its own host: log in there");
      try {
        await callRunning("ping", {});
        return false;
      } catch (error) {
        if (!isAbsent(error)) throw error;
      }
      await launch(where, flags);
      return true;
    };
    return {
      root,
      run,
      get selected() {
        return selected();
      },
      get socket() {
        return socket();
      },
      cwd,
      env,
      version: options.version,
      stdout,
      stderr,
      stdin: () => Bun.stdin.stream() as ReadableStream<Uint8Array>,
      signals: processSignals,
      terminal: options.terminal,
      callRunning,
      startEngine,
      async call<K extends CallName>(name: K, request: Calls[K]["request"], handlers?: CallHandlers<K>, signal?: AbortSignal) {
        try {
          return await callOnce(true)(name, request, handlers, signal);
        } catch (error) {
          if (!isAbsent(error) || selected().endpoint.kind !== "local") throw error;
        }
        await launch(where);
        return callRunning(name, request, handlers, signal);
      },
      exit: (code) => process.exit(code),
      serviceManager: options.serviceManager,
      serveResolver: () => options.serveResolver(run),
      async serveEngine(given) {
        if (selected().endpoint.kind !== "local") throw new UsageError("an engine serves on its own host");
        const { engineSettings } = await import("./engine-settings.ts");
        const textOf = await fileReader();
        await options.serveEngine(where, () => engineSettings(given, env, run, textOf));
      },
      async checkEngine(given) {
        const { engineSettings } = await import("./engine-settings.ts");
        const { configurationOf } = await import("./engine-configuration.ts");
        const { dockerPorts } = await import("./docker-host.ts");
        const settings = engineSettings(given, env, run, await fileReader());
        dockerPorts(settings.flags);
        await options.checkConfiguration(configurationOf(settings));
      },
    };
  };
}

/** Reads a file, null where there is none. To load `node:fs` takes 1.5 ms, which commands do without. */
async function fileReader(): Promise<(file: string) => string | null> {
  const { readFileSync } = await import("node:fs");
  return (file) => {
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  };
}

const isAbsent = (error: unknown): boolean => error instanceof EngineUnreachable && absent.has(error.reason);

/** Flags as the background engine's command line. */
function words(flags: EngineFlags): string[] {
  const {
    runtimes,
    defaultRuntime,
    cgroupDriver,
    registries,
    policy,
    cniConfigDir,
    cniBinDir,
    cniTimeout,
    config,
    daemonJson,
    dockerSocket,
    readOnlySocket,
    dockerHost,
    tlsCa,
    tlsCert,
    tlsKey,
  } = flags;
  const option = (name: string, value: string | undefined) => (value === undefined ? [] : [name, value]);
  return [
    ...Object.entries(runtimes).flatMap(([name, path]) => ["--runtime", `${name}=${path}`]),
    ...option("--default-runtime", defaultRuntime),
    ...option("--cgroup-driver", cgroupDriver),
    ...option("--registries", registries),
    ...option("--policy", policy),
    ...option("--cni-config-dir", cniConfigDir),
    ...option("--cni-bin-dir", cniBinDir),
    ...option("--cni-timeout", cniTimeout),
    ...option("--config", config),
    ...option("--daemon-json", daemonJson),
    ...option("--docker-socket", dockerSocket),
    ...option("--read-only-socket", readOnlySocket),
    ...option("--docker-host", dockerHost),
    ...option("--tlscacert", tlsCa),
    ...option("--tlscert", tlsCert),
    ...option("--tlskey", tlsKey),
  ];
}

async function launch(where: { root: string; run: string; socket: string }, flags?: EngineFlags): Promise<void> {
  const { selfCommand, startEngine } = await import("./engine-process.ts");
  await startEngine(where, selfCommand(process.execPath, process.argv[1]), flags ? words(flags) : []);
}

const absolute = (path: string, cwd: string): string => (path.startsWith("/") ? path.replace(/(.)\/+$/, "$1") : `${cwd}/${path}`);

const processSignals: Signals = {
  on(name, listener) {
    process.on(name, listener);
    return () => process.off(name, listener);
  },
};
