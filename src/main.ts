import { version } from "../package.json";

import type { CallName } from "./api/control/protocol.ts";
import type { HttpServer, Place, SocketSystem } from "./api/http/server.ts";

import type { ClientRule, Role } from "./api/rights/types.ts";
import type { EngineFlags, Terminal } from "./cli/context.ts";
import type { DockerHostFlags } from "./cli/docker-host.ts";
import type { EngineSettings } from "./cli/engine-settings.ts";
import type { Configuration, Engine, ServiceManager } from "./engine/index.ts";
import type { Reloaded } from "./engine/types.ts";

/**
 * The composition root: the only module that knows every layer. What is not needed is not loaded: everything comes by dynamic import.
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

/** The executable is built to put compiling to machine code off, which a command of some milliseconds has nothing of. */
const compileEagerly = (): void => Bun.unsafe.setJITPolicy(1);

/** Opens the engine and serves its socket until SIGTERM, SIGINT or a client's shutdown. Throws LockHeld. */
async function serveEngine(
  { root, run, socket }: { root: string; run: string; socket: string },
  read: () => EngineSettings,
): Promise<void> {
  compileEagerly();
  const { flags, values } = read();
  const log = (message: string) => console.error(`${new Date().toISOString()} ${message}`);
  const { groupId } = await import("./cli/groups.ts");
  const gid = values.group === undefined ? undefined : groupId(values.group);
  const { availableParallelism } = await import("node:os");
  const { sizeThreadPool } = await import("./sys/thread-pool.ts");
  // some of its threads wait for the disk while others compute
  sizeThreadPool(availableParallelism() + 4);
  const { openEngine, ServiceManager } = await import("./engine/index.ts");
  const manager = new ServiceManager(process.env, process.pid, log);
  const places = await dockerPlaces(run, flags, gid, manager.sockets.get("docker"));
  const { handlersOf } = await import("./api/control/handlers.ts");
  const { serve } = await import("./api/control/server.ts");
  const { selfCommand } = await import("./cli/engine-process.ts");
  const self = selfCommand(process.execPath, process.argv[1]);
  const { cniOptions } = await import("./cli/engine-cni.ts");
  const cni = cniOptions(flags);
  const { configurationOf } = await import("./cli/engine-configuration.ts");
  const engine = await openEngine({
    root,
    run,
    version,
    cgroupDriver: flags.cgroupDriver,
    cni,
    log,
    self,
    read: () => configurationOf(read()),
  });
  const stopped = Promise.withResolvers<void>();
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => stopped.resolve());
  const reload = (): Reloaded => reloadSettings(engine, manager, log);
  // its log says what became of it
  process.on("SIGHUP", () => void attempt(reload));
  const isDebugged = (): boolean => engine.configuration.debug;
  const handlers = handlersOf(engine, { shutdown: stopped.resolve, reload });
  if (gid !== undefined) await letThrough(run, gid);
  const bound = await deepQueue();
  const { rulesInForce } = await import("./api/rights/in-force.ts");
  const rules = rulesInForce(() => engine.configuration.settings);
  // first: who starts an engine takes it for started when the control socket answers
  const docker = await serveDocker(engine, places, rules, log);
  const server = await serve({
    path: socket,
    fd: manager.sockets.get("onggi"),
    handlers,
    log,
    isDebugged,
    bound,
    authorize: await controlGate(rules, log),
    // whoever is named by a rule may come in by the group
    ...(rules().length > 0 && gid !== undefined ? { access: { mode: 0o660, gid } } : {}),
  });
  log(`engine ${version} serves ${socket}, pid ${process.pid}`);
  manager.ready(`serves ${socket}`);
  await stopped.promise;
  manager.stopping();
  engine.leases.suspend();
  await Promise.all(docker.map((each) => each.close()));
  await server.close();
  await engine.close();
}

/** What is wrong with the settings that are written changes nothing. Throws it. */
function reloadSettings(engine: Engine, manager: ServiceManager, log: (message: string) => void): Reloaded {
  manager.reloading();
  try {
    const reloaded = engine.reload();
    manager.ready(`serves ${engine.layout.run}/onggi.sock`);
    return reloaded;
  } catch (error) {
    const why = `settings stay as they were: ${error instanceof Error ? error.message : error}`;
    log(why);
    manager.ready(why);
    throw error;
  }
}

function attempt(work: () => unknown): void {
  try {
    work();
  } catch {
    // said already
  }
}

/** What the kernel says of sockets. Of a client its supplementary groups count as well. */
async function socketSystem(): Promise<SocketSystem> {
  const { peerCredentials, peerGroups } = await import("./sys/socket.ts");
  const { poll } = await import("./sys/io.ts");
  const { POLL } = await import("./sys/constants.ts");
  return {
    processPeer(fd) {
      const { uid, gid } = peerCredentials(fd);
      return { kind: "process", uid, gids: [gid, ...peerGroups(fd)] };
    },
    isHungUp: (fd) => (poll(fd, 0, 0) & (POLL.POLLHUP | POLL.POLLERR)) !== 0,
  };
}

/** What lies in the run directory says itself who may open it; the group may pass. */
async function letThrough(run: string, gid: number): Promise<void> {
  const { chmodSync, chownSync } = await import("node:fs");
  chownSync(run, process.geteuid?.() ?? 0, gid);
  chmodSync(run, 0o710);
}

type Rules = () => readonly ClientRule[];

async function controlGate(rules: Rules, log: (message: string) => void) {
  const { gateOf } = await import("./api/rights/rights.ts");
  const { roleFor } = await import("./api/control/rights.ts");
  const { processPeer } = await socketSystem();
  const gate = gateOf(rules, log);
  return (fd: number, name: CallName, request: unknown) =>
    gate.check(() => processPeer(fd), roleFor(name, request as never), name);
}

interface DockerPlace {
  readonly at: Place;
  /** What may be done there at most. */
  readonly most?: Role;
}

/** Where Docker's API is: at a socket, which a service manager may have opened, for those who may open it (root, and what group is given to it); with mutual TLS on TCP. */
async function dockerPlaces(
  run: string,
  flags: Pick<EngineFlags, "dockerSocket" | "readOnlySocket" | keyof DockerHostFlags>,
  gid: number | undefined,
  fd: number | undefined,
): Promise<DockerPlace[]> {
  const { dockerSocket = `${run}/docker.sock`, readOnlySocket = "none" } = flags;
  const { dockerPorts } = await import("./cli/docker-host.ts");
  const at = (path: string): Place => ({ path, mode: 0o660, ...(gid === undefined ? {} : { gid }) });
  return [
    ...(fd !== undefined ? [{ at: { fd } }] : dockerSocket === "none" ? [] : [{ at: at(dockerSocket) }]),
    ...(readOnlySocket === "none" ? [] : [{ at: at(readOnlySocket), most: "read" as const }]),
    ...dockerPorts(flags).map((port) => ({ at: port })),
  ];
}

async function serveDocker(
  engine: Engine,
  places: readonly DockerPlace[],
  rules: Rules,
  log: (message: string) => void,
): Promise<HttpServer[]> {
  const { serveHttp } = await import("./api/http/server.ts");
  const { dockerHandler } = await import("./api/docker/router.ts");
  const { operations } = await import("./api/docker/operations.ts");
  const { loggedHandler } = await import("./api/http/logged.ts");
  const { gateOf } = await import("./api/rights/rights.ts");
  const system = await socketSystem();
  const bound = await deepQueue();
  const serveAt = ({ at, most }: DockerPlace): Promise<HttpServer> => {
    const answer = dockerHandler({ engine, operations, version, log, gate: gateOf(rules, log, most) });
    const handler = loggedHandler(answer, () => engine.configuration.debug, log);
    return serveHttp({ at, handler, system, log, bound });
  };
  return Promise.all(places.map(serveAt));
}

/** Hundreds of clients may come at once: where Bun lets 512 wait to be accepted, as many may as with a server in Go. */
async function deepQueue(): Promise<(fd: number) => void> {
  const { setBacklog } = await import("./sys/socket.ts");
  return (fd) => setBacklog(fd, 4096);
}

/** Answers containers' questions for names; the engine started it. Returns when no container needs that any more. */
async function serveResolver(run: string): Promise<void> {
  compileEagerly();
  const { serveResolver } = await import("./networks/dns/resolver.ts");
  for (const signal of ["SIGHUP", "SIGINT"]) process.on(signal, () => {});
  serveResolver({ run, log: (message) => console.error(`${new Date().toISOString()} ${message}`) });
}

/** The OCI runtime's command line: `onggi-runtime` started this program, and ends with the exit code it is told. */
async function runtime(): Promise<void> {
  const { runtimeMain } = await import("./cli/runtime/main.ts");
  const { OneShot } = await import("./native/oneshot.ts");
  const { writeSync } = await import("node:fs");
  const front = OneShot.fromEnvironment();
  const code = await runtimeMain(process.argv.slice(2), {
    runtime: async (options, warn) => (await import("./standalone/index.ts")).ociRuntime(options, front, warn),
    facts: async () => {
      const { features } = await import("./standalone/features.ts");
      const { defaultSpec } = await import("./standalone/default-spec.ts");
      return { features: () => features(version), defaultSpec };
    },
    version,
    stdout: (text) => writeWhole(writeSync, 1, text),
    stderr: (text) => writeWhole(writeSync, 2, text),
    stdin: () => Bun.stdin.text(),
    env: process.env,
    cwd: process.cwd(),
    uid: process.geteuid?.() ?? 0,
  });
  front.exit(code);
  process.exit(code);
}

/** The CNI plugin: this program, called by that name. */
async function cni(): Promise<void> {
  const { cniMain } = await import("./cli/cni/main.ts");
  const { writeSync } = await import("node:fs");
  const { isNamespace, readStdin } = await import("./cli/cni/files.ts");
  const code = await cniMain({
    env: process.env,
    version,
    stdin: async (most) => readStdin(most),
    stdout: (text) => writeWhole(writeSync, 1, text),
    stderr: (text) => writeWhole(writeSync, 2, text),
    call: async (socket, name, request) => (await import("./api/control/client.ts")).call(socket, name, request),
    isNamespace,
  });
  process.exit(code);
}

function writeWhole(write: (fd: number, data: Uint8Array) => number, fd: number, text: string): void {
  for (let rest: Uint8Array = new TextEncoder().encode(text); rest.length > 0; ) rest = rest.subarray(write(fd, rest));
}

async function checkConfiguration(configuration: Configuration): Promise<void> {
  const { checkConfiguration } = await import("./engine/index.ts");
  checkConfiguration(configuration);
}

async function serviceManager(): Promise<ServiceManager> {
  const { ServiceManager } = await import("./engine/service-manager.ts");
  return new ServiceManager(process.env, process.pid, (message) => console.error(message));
}

/** systemd's generator: this program, called by that name. */
async function generator(): Promise<void> {
  const { main } = await import("./cli/cli.ts");
  const { hostContext } = await import("./cli/host.ts");
  const host = hostContext({ version, terminal, serveEngine, serveResolver, checkConfiguration, serviceManager });
  process.exit(await main(["system", "generator", ...process.argv.slice(2)], host));
}

async function commandLine(): Promise<void> {
  const { main } = await import("./cli/cli.ts");
  const { hostContext } = await import("./cli/host.ts");
  process.exit(
    await main(
      process.argv.slice(2),
      hostContext({ version, terminal, serveEngine, serveResolver, checkConfiguration, serviceManager }),
    ),
  );
}

const calledAs = process.argv0.slice(process.argv0.lastIndexOf("/") + 1);

await (calledAs === "onggi-cni"
  ? cni()
  : calledAs === "onggi-generator"
    ? generator()
    : process.env.ONGGI_FRONT === undefined
      ? commandLine()
      : runtime());
