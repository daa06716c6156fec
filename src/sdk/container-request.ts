/** A container as callers describe it, as the engine is asked for it. Pure, but for the working directory of bind mounts. */
import { resolve } from "node:path";
import type {
  ContainerChanges,
  ContainerRequest,
  DeviceLimit,
  HealthCheck,
  MountRequest,
  NetworkEndpoint,
  PortRequest,
  Resources,
  RestartPolicy,
  SecretRequest,
} from "../api/control/types.ts";
import { invalid } from "./errors.ts";
import type {
  BlockDeviceLimits,
  ContainerOptions,
  ContainerUpdate,
  Environment,
  HealthOptions,
  Limits,
  Mount,
  NetworkPlace,
  PortMapping,
  RestartOptions,
  Secret,
  Size,
  Ulimit,
} from "./options.ts";
import { bytes, milliseconds, nanoseconds } from "./units.ts";

/** An object without its undefined values. */
type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
const defined = <T extends object>(object: T): Defined<T> =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;

const copy = (list: readonly string[] | undefined): string[] | undefined => (list ? [...list] : undefined);

/** "KEY=VALUE" each, without those that are undefined. Throws `invalid_option` for a name with "=" or NUL. */
export const environment = (env: Environment): string[] =>
  Object.entries(defined(env)).map(([name, value]) => {
    if (name === "" || /[=\0]/.test(name) || String(value).includes("\0"))
      throw invalid(`env: ${JSON.stringify(name)} cannot be a variable: no "=" in its name, no NUL in it`);
    return `${name}=${value}`;
  });

/** Throws `invalid_option`. */
export function containerRequest(
  image: string,
  command: readonly string[] | undefined,
  options: ContainerOptions & { readonly lease?: string },
): ContainerRequest {
  if (typeof image !== "string" || image === "") throw invalid('name an image, as in run("debian")');
  checkWords("command", command);
  checkWords("entrypoint", options.entrypoint);
  const { env, health, restart, hosts, shmSize, stopTimeout } = options;
  return {
    image,
    ...defined({
      platform: options.platform,
      name: options.name,
      command: command && command.length > 0 ? [...command] : undefined,
      entrypoint: copy(options.entrypoint),
      env: env && environment(env),
      labels: options.labels && { ...options.labels },
      publish: options.ports?.map(portRequest),
      mounts: options.mounts?.map(mountRequest),
      secrets: options.secrets && Object.entries(options.secrets).map(secretRequest),
      ...networksOf(options.networks),
      extraHosts: hosts && Object.entries(hosts).map(([name, address]) => `${name}:${address}`),
      dns: copy(options.dns),
      hostname: options.hostname,
      user: options.user,
      workdir: options.workdir,
      health: health === undefined ? undefined : healthCheck(health),
      restart: restart && restartPolicy(restart),
      autoRemove: options.autoRemove,
      lease: options.lease,
      init: options.init,
      tty: options.tty,
      openStdin: options.stdin,
      privileged: options.privileged,
      readonlyRootfs: options.readonlyRootfs,
      capAdd: copy(options.capAdd),
      capDrop: copy(options.capDrop),
      securityOpt: copy(options.securityOpt),
      sysctls: options.sysctls && { ...options.sysctls },
      ulimits: options.ulimits && Object.entries(options.ulimits).map(ulimit),
      shmSize: shmSize === undefined ? undefined : bytes(shmSize, "shmSize"),
      stopSignal: options.stopSignal,
      stopTimeout: stopTimeout === undefined ? undefined : Math.ceil(milliseconds(stopTimeout, "stopTimeout") / 1000),
      runtime: options.runtime,
      resources: resources(options),
    }),
  };
}

/** The limits that are given; undefined where none is. Throws `invalid_option`. */
export function resources(limits: Limits): Resources | undefined {
  const size = (name: "memory" | "memorySwap" | "memoryReservation") => {
    const value = limits[name];
    return value === undefined ? undefined : value === -1 && name === "memorySwap" ? -1 : bytes(value, name);
  };
  const { cpus } = limits;
  if (cpus !== undefined && !(Number.isFinite(cpus) && cpus >= 0)) throw invalid(`cpus ${cpus} is no number of CPUs`);
  const given = defined({
    memory: size("memory"),
    memorySwap: size("memorySwap"),
    memoryReservation: size("memoryReservation"),
    nanoCpus: cpus === undefined ? undefined : Math.round(cpus * 1e9),
    cpuShares: limits.cpuShares,
    cpusetCpus: limits.cpuset,
    pidsLimit: limits.pids,
    ...blockDevices(limits.blockDevices),
  });
  return Object.keys(given).length > 0 ? given : undefined;
}

/** Throws `invalid_option`. */
function blockDevices(given: Limits["blockDevices"] = {}): Partial<Resources> {
  const limitsOf = (name: keyof BlockDeviceLimits): DeviceLimit[] | undefined => {
    const named = Object.entries(given).filter(([, limits]) => limits[name] !== undefined);
    if (named.length === 0) return undefined;
    return named.map(([path, limits]) => ({ path, value: amount(limits[name] as Size, `blockDevices: ${path}: ${name}`) }));
  };
  const amount = (value: Size, what: string): number => {
    const number = bytes(value, what);
    if (number < 0) throw invalid(`${what} ${value} is below 0`);
    return number;
  };
  return defined({
    deviceReadBps: limitsOf("readBytes"),
    deviceWriteBps: limitsOf("writeBytes"),
    deviceReadIops: limitsOf("readOperations"),
    deviceWriteIops: limitsOf("writeOperations"),
    blkioWeightDevice: limitsOf("weight"),
  });
}

/** What is to be otherwise; undefined where nothing is. Throws `invalid_option`. */
export function containerChanges(update: ContainerUpdate): ContainerChanges | undefined {
  const { ports, removePorts, mounts, removeMounts, env = {} } = update;
  const kept = Object.entries(env).filter((pair): pair is [string, string] => pair[1] !== null);
  const gone = Object.keys(env).filter((name) => env[name] === null);
  const given = defined({
    publish: ports?.map(portRequest),
    unpublish: removePorts?.map((containerPort) => ({ protocol: "tcp" as const, containerPort })),
    mounts: mounts?.map(mountRequest),
    unmount: copy(removeMounts),
    env: kept.length > 0 ? environment(Object.fromEntries(kept)) : undefined,
    unsetEnv: gone.length > 0 ? gone : undefined,
  });
  return Object.keys(given).length > 0 ? given : undefined;
}

/** What plain JavaScript, or a cast, may hand over instead of a list of words. */
export function checkWords(what: string, words: unknown): void {
  if (words === undefined || (Array.isArray(words) && words.every((word) => typeof word === "string"))) return;
  throw invalid(`${what} ${JSON.stringify(words)} is not a list of words, as in ["sh", "-c", "echo hello"]`);
}

function portRequest(given: number | PortMapping): PortRequest {
  const { port, hostPort = 0, host = "127.0.0.1", protocol = "tcp" } = typeof given === "number" ? { port: given } : given;
  const isPort = (number: number) => Number.isInteger(number) && number > 0 && number <= 65535;
  if (!isPort(port) || (hostPort !== 0 && !isPort(hostPort)))
    throw invalid(`ports: ${JSON.stringify(given)} is no port from 1 to 65535`);
  return { protocol, containerPort: port, hostIp: host, hostPort, hostPortEnd: hostPort };
}

function mountRequest(mount: Mount): MountRequest {
  if (!mount.target?.startsWith("/")) throw invalid(`mounts: target ${JSON.stringify(mount.target)} must be an absolute path`);
  switch (mount.type) {
    case "bind": {
      const { source, target, readonly, create } = mount;
      return { type: "bind", source: resolve(source), target, ...defined({ readonly, createSource: create }) };
    }
    case "volume": {
      const { source, target, readonly, subpath } = mount;
      return { type: "volume", target, ...defined({ source, readonly, subpath }) };
    }
    case "tmpfs": {
      const { target, size, mode } = mount;
      const options = [
        ...(size === undefined ? [] : [`size=${bytes(size, "mounts: size")}`]),
        ...(mode === undefined ? [] : [`mode=${mode.toString(8)}`]),
      ];
      return { type: "tmpfs", target, ...(options.length > 0 ? { options } : {}) };
    }
    case "image": {
      const { source, target, subpath } = mount;
      return { type: "image", source, target, ...defined({ subpath }) };
    }
    default:
      throw invalid(`mounts: type ${JSON.stringify((mount as Mount).type)} is not bind, volume, tmpfs or image`);
  }
}

function secretRequest([name, given]: [string, string | Uint8Array | Secret]): SecretRequest {
  const { data, ...place }: Secret = typeof given === "string" || given instanceof Uint8Array ? { data: given } : given;
  return { name, data: Buffer.from(data as Uint8Array).toString("base64"), ...defined(place) };
}

const ulimit = ([name, given]: [string, Ulimit]): { name: string; soft: number; hard: number } => ({
  name,
  ...(typeof given === "number" ? { soft: given, hard: given } : given),
});

const isMode = (name: string): boolean => name === "none" || name === "host" || name.startsWith("container:");

function networksOf(given: ContainerOptions["networks"]): { network?: string; networks?: NetworkEndpoint[] } {
  if (!given || given.length === 0) return {};
  const mode = given.find((one) => typeof one === "string" && isMode(one)) as string | undefined;
  if (mode === undefined) return { networks: given.map(networkEndpoint) };
  if (given.length > 1) throw invalid(`networks: "${mode}" goes with no other network`);
  return { network: mode };
}

/** A place in a network as the engine is asked for it. */
export function networkEndpoint(given: string | NetworkPlace): NetworkEndpoint {
  const { name, aliases, ipv4, ipv6, mac }: NetworkPlace = typeof given === "string" ? { name: given } : given;
  return { network: name, ...defined({ aliases: copy(aliases), ipv4, ipv6, mac }) };
}

function healthCheck(health: HealthOptions | false): HealthCheck {
  if (health === false) return { test: ["NONE"] };
  const { command, retries } = health;
  const duration = (name: "interval" | "timeout" | "startPeriod" | "startInterval") => {
    const value = health[name];
    return value === undefined ? undefined : nanoseconds(value, `health.${name}`);
  };
  return {
    test: typeof command === "string" ? ["CMD-SHELL", command] : ["CMD", ...command],
    ...defined({
      interval: duration("interval"),
      timeout: duration("timeout"),
      retries,
      startPeriod: duration("startPeriod"),
      startInterval: duration("startInterval"),
    }),
  };
}

/** Throws `invalid_option`. */
export function restartPolicy(restart: RestartOptions): RestartPolicy {
  if (typeof restart === "string") return { name: restart, maximumRetryCount: 0 };
  return { name: restart.policy, maximumRetryCount: restart.maximumRetries };
}
