import { version } from "../package.json";
import { main } from "./cli/cli.ts";
import type { Terminal } from "./cli/context.ts";
import { hostContext } from "./cli/host.ts";

/**
 * The composition root: the only module that knows every layer. What a command does not need is not loaded: everything but the
 * command line itself comes by dynamic import.
 */

/** The terminal by system calls. */
async function terminal(): Promise<Terminal> {
  const { getWindowSize, isTerminal, makeRaw, tcsetattr } = await import("./sys/pty.ts");
  return {
    isTerminal,
    size: (fd) => {
      if (!isTerminal(fd)) return undefined;
      const { rows, columns } = getWindowSize(fd);
      return rows > 0 && columns > 0 ? { rows, columns } : undefined;
    },
    raw: (fd) => {
      const former = makeRaw(fd);
      const restore = () => {
        process.off("exit", restore);
        try {
          tcsetattr(fd, former);
        } catch {
          // the terminal has gone: nothing is left to restore
        }
      };
      process.on("exit", restore);
      return restore;
    },
  };
}

/** Opens the engine and serves its socket until SIGTERM, SIGINT or a client's shutdown. Throws LockHeld. */
async function serveEngine(where: {
  root: string;
  run: string;
  socket: string;
  cgroupDriver: string | undefined;
}): Promise<void> {
  const { root, run, socket, cgroupDriver } = where;
  const { openEngine } = await import("./engine/index.ts");
  const { handlersOf } = await import("./api/control/handlers.ts");
  const { serve } = await import("./api/control/server.ts");
  const log = (message: string) => console.error(`${new Date().toISOString()} ${message}`);
  const engine = await openEngine({ root, run, version, cgroupDriver, log });
  const stopped = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => stopped.resolve());
  // whoever started it may go: a hang-up is not for the engine
  process.on("SIGHUP", () => {});
  const server = await serve({ path: socket, handlers: handlersOf(engine, stopped.resolve), log });
  log(`engine ${version} serves ${socket}, pid ${process.pid}`);
  await stopped.promise;
  await server.close();
  await engine.close();
}

/** The executable answers to two names. The second one's command line comes with the OCI runtime. */
if (process.argv0.endsWith("onggi-runtime")) {
  console.error("onggi-runtime: the OCI runtime's command line is not there yet; containers are run by onggi");
  process.exit(1);
}

main(process.argv.slice(2), hostContext({ version, terminal, serveEngine })).then((code) => process.exit(code));
