import type { CallHandlers } from "../api/control/client.ts";
import { call, EngineUnreachable } from "../api/control/client.ts";
import type { CallName, Calls } from "../api/control/protocol.ts";
import type { EngineSetting } from "../api/control/types.ts";
import type { Locations } from "./cli.ts";
import type { Context, EngineFlags, Signals, Terminal } from "./context.ts";
import { Output } from "./output.ts";

/** The real surroundings of a command, for `src/main.ts`. */

export interface HostOptions {
  version: string;
  /** Loads what reaches the terminal: system calls, which this layer does not make. */
  terminal: () => Promise<Terminal>;
  serveEngine: (
    locations: { root: string; run: string; socket: string },
    flags: EngineFlags,
    settings: readonly EngineSetting[],
  ) => Promise<void>;
  serveResolver: (run: string) => Promise<void>;
}

/** Reasons to start an engine: nobody is there. */
const absent = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET"]);

export function hostContext(options: HostOptions): (locations: Locations) => Context {
  const stdout = new Output(1);
  const stderr = new Output(2);
  return (locations) => {
    const { env } = process;
    const cwd = process.cwd();
    const root = absolute(locations.root ?? (env.ONGGI_ROOT || "/var/lib/onggi"), cwd);
    const run = absolute(locations.run ?? (env.ONGGI_RUN || "/run/onggi"), cwd);
    const socket = `${run}/onggi.sock`;
    const where = { root, run, socket };

    const callRunning: Context["callRunning"] = (name, request, handlers, signal) =>
      call(socket, name, request, handlers, signal);
    const startEngine = async (flags?: EngineFlags): Promise<boolean> => {
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
      socket,
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
          return await callRunning(name, request, handlers, signal);
        } catch (error) {
          if (!isAbsent(error)) throw error;
        }
        await launch(where);
        return callRunning(name, request, handlers, signal);
      },
      exit: (code) => process.exit(code),
      serveResolver: () => options.serveResolver(run),
      async serveEngine(given) {
        const { engineSettings } = await import("./engine-settings.ts");
        const { flags, settings } = engineSettings(given, env, run, await fileReader());
        await options.serveEngine(where, flags, settings);
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
