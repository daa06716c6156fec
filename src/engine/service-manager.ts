/**
 * The service manager that has started this process, systemd or one that does as it: the sockets that it has opened, sd_listen_fds(3),
 * and what it is told, sd_notify(3). Without one nothing happens.
 */
import { messageOf } from "../lib/errors.ts";
import { close, SOCK, unixConnectTo, writeSocket } from "../sys/index.ts";

const FIRST_FD = 3;
/** What no other process is to take for its own. */
const VARIABLES = ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC"] as const;

type Environment = Record<string, string | undefined>;

export class ServiceManager {
  /** Listening sockets by the names that the service manager gives them. */
  readonly sockets: ReadonlyMap<string, number>;
  readonly #address: string | undefined;
  readonly #watchdogMs: number | null;
  readonly #log: (message: string) => void;
  #watch: ReturnType<typeof setInterval> | undefined;

  /** Takes its variables out of `env`. */
  constructor(env: Environment, pid: number, log: (message: string) => void) {
    this.sockets = passedSockets(env, pid);
    this.#address = env.NOTIFY_SOCKET || undefined;
    this.#watchdogMs = watchdogOf(env, pid);
    this.#log = log;
    for (const name of VARIABLES) delete env[name];
  }

  /** It serves, from now on or again. */
  ready(status: string): void {
    this.#notify(`READY=1\nSTATUS=${oneLine(status)}`);
    if (this.#watchdogMs === null || this.#watch) return;
    const tell = (): void => this.#notify("WATCHDOG=1");
    this.#watch = setInterval(tell, this.#watchdogMs / 2);
    this.#watch.unref();
  }

  /** It reads its settings anew, until it is ready again. */
  reloading(): void {
    this.#notify(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): void {
    clearInterval(this.#watch);
    this.#notify("STOPPING=1");
  }

  /** Nobody there is not worth an engine's end. */
  #notify(text: string): void {
    if (this.#address === undefined) return;
    try {
      const fd = unixConnectTo(this.#address, { type: SOCK.SOCK_DGRAM, nonblock: true });
      try {
        writeSocket(fd, Buffer.from(text));
      } finally {
        close(fd);
      }
    } catch (error) {
      this.#log(`the service manager at ${this.#address} hears nothing: ${messageOf(error)}`);
    }
  }
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").slice(0, 500);

/** Sockets by name; one without a name, or of a name that another one has, is called by its number. */
function passedSockets(env: Environment, pid: number): Map<string, number> {
  const count = Number(env.LISTEN_FDS);
  if (env.LISTEN_PID !== String(pid) || !Number.isInteger(count) || count < 1 || count > 64) return new Map();
  const names = (env.LISTEN_FDNAMES ?? "").split(":");
  const found = new Map<string, number>();
  for (let index = 0; index < count; index++) {
    const name = names[index] || "unknown";
    found.set(found.has(name) ? `${name}.${FIRST_FD + index}` : name, FIRST_FD + index);
  }
  return found;
}

function watchdogOf(env: Environment, pid: number): number | null {
  const microseconds = Number(env.WATCHDOG_USEC);
  if (env.WATCHDOG_PID !== undefined && env.WATCHDOG_PID !== String(pid)) return null;
  return microseconds > 0 ? microseconds / 1000 : null;
}
