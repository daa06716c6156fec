/** What a container is made with where nobody asks for something else. Pure, but for `profileText`. */
import { readFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { logConfig } from "./log-options.ts";
import type { ContainerRequest, LogConfig, Ulimit } from "./types.ts";

/** Absent: what is built in. */
export interface ContainerDefaults {
  readonly log: { readonly driver: LogConfig["driver"]; readonly options: Readonly<Record<string, string>> };
  readonly ulimits?: readonly Ulimit[];
  readonly dns?: readonly string[];
  readonly dnsSearch?: readonly string[];
  readonly dnsOptions?: readonly string[];
  readonly shmSize?: number;
  readonly init?: boolean;
  readonly noNewPrivileges?: boolean;
  /** Path of a profile, "unconfined" or "builtin". */
  readonly seccomp?: string;
  readonly cgroupns?: "private" | "host";
  readonly ipc?: "private" | "shareable";
  readonly cgroupParent?: string;
}

/** The text of a seccomp profile: the file a client named was read by the client, so a path here is the host's. */
export function profileText(option: string): string {
  if (!option.startsWith("/")) return option;
  try {
    return readFileSync(option, "utf8");
  } catch (error) {
    throw new OnggiError("invalid_seccomp_profile", `--security-opt seccomp=${option}: ${messageOf(error)}`);
  }
}

export const defaultLog = ({ driver, options }: ContainerDefaults["log"]): LogConfig => logConfig(driver, options);

/** Options that are said of a driver hold also where a container names this driver itself. */
function logOf({ log, logOptions }: ContainerRequest, defaults: ContainerDefaults["log"]): LogConfig {
  if (!log) return logConfig(defaults.driver, { ...defaults.options, ...logOptions });
  if (log.driver !== defaults.driver || Object.keys(defaults.options).length === 0) return log;
  return logConfig(log.driver, { ...defaults.options, ...log.options });
}

const says = (options: readonly string[], name: string): boolean => options.some((option) => option.split(/[=:]/)[0] === name);

function securityOf({ securityOpt = [], privileged }: ContainerRequest, defaults: ContainerDefaults): string[] {
  const { noNewPrivileges, seccomp } = defaults;
  return [
    ...securityOpt,
    ...(noNewPrivileges && !says(securityOpt, "no-new-privileges") ? ["no-new-privileges"] : []),
    ...(seccomp && seccomp !== "builtin" && !privileged && !says(securityOpt, "seccomp") ? [`seccomp=${seccomp}`] : []),
  ];
}

/** The request with what the defaults add to it; what it says itself stays. */
export function withDefaults(request: ContainerRequest, defaults: ContainerDefaults): ContainerRequest & { log: LogConfig } {
  const { logOptions: _, ...asked } = request;
  const { ulimits = [], dns = [], dnsSearch = [], dnsOptions = [] } = defaults;
  const own = new Set(request.ulimits?.map(({ name }) => name));
  const limits = [...(request.ulimits ?? []), ...ulimits.filter(({ name }) => !own.has(name))];
  const security = securityOf(request, defaults);
  const shares = request.network === "none" || request.network?.startsWith("container:");
  const found = {
    ulimits: limits.length > 0 ? limits : undefined,
    securityOpt: security.length > 0 ? security : undefined,
    dns: request.dns?.length || dns.length === 0 || shares ? undefined : [...dns],
    dnsSearch: request.dnsSearch?.length || dnsSearch.length === 0 || shares ? undefined : [...dnsSearch],
    dnsOptions: request.dnsOptions?.length || dnsOptions.length === 0 || shares ? undefined : [...dnsOptions],
    shmSize: request.shmSize ?? defaults.shmSize,
    init: request.init ?? defaults.init,
    cgroupns: request.cgroupns ?? (request.privileged ? undefined : defaults.cgroupns),
    ipc: request.ipc ?? defaults.ipc,
    cgroupParent: request.cgroupParent ?? defaults.cgroupParent,
  };
  const added = Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
  return { ...asked, ...added, log: logOf(request, defaults.log) };
}
