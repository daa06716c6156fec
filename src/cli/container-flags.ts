import { parseDuration } from "../lib/time.ts";
import { parseBytes, parseNanoCpus, parseRate } from "../lib/units.ts";
import { bytesRate, deviceWeight, operationsRate } from "./device-limits.ts";
import { UsageError } from "./errors.ts";
import { bool, choice, type Extra, type Flag, integer, list, parsed, parsedList, platform, text } from "./flags.ts";
import { parseGpus } from "./gpus.ts";
import { parseRestart } from "./restart-policy.ts";

/** The flags that say what a container is to be; `run`, `create` and `explain` share them. Docker's names and letters. */

const rare = { rare: true } as const;

const size = (short: string, help: string, extra: Extra = {}): Flag<number> => parsed(short, "SIZE", help, parseBytes, extra);

/** "-1" or a size. */
const sizeOrUnlimited = (help: string, extra: Extra): Flag<number> =>
  parsed("", "SIZE", help, (given, name) => (given === "-1" ? -1 : parseBytes(given, name)), extra);

/** Bytes per second. */
export const rate = (help: string, extra: Extra = {}): Flag<number> => parsed("", "RATE", help, parseRate, extra);
/** Nanoseconds, as Go writes durations. */
const duration = (help: string): Flag<number> =>
  parsed(
    "",
    "DURATION",
    help,
    (given, name) => {
      if (given.startsWith("-")) throw new UsageError(`${name} cannot be negative`);
      const value = given === "0" ? 0n : parseDuration(given);
      if (value === undefined) throw new UsageError(`${name} "${given}" is not a duration; write it as in 1m30s`);
      return Number(value);
    },
    rare,
  );

/** Flags of Docker's that are understood and refused, each with what it would need. */
const later = (short: string, value: string | undefined, needs: string): Flag<never> => ({
  ...(short === "" ? {} : { short }),
  ...(value === undefined ? {} : { value }),
  help: `not there yet: ${needs}`,
  rare: true,
  read: (_, name) => {
    throw new UsageError(`${name} is not there yet: it needs ${needs}`);
  },
});

function swappiness(text: string, name: string): number | undefined {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) throw new UsageError(`${name} "${text}" is not a whole number`);
  if (value < -1 || value > 100) throw new UsageError(`invalid value: ${value}. Valid memory swappiness range is 0-100`);
  return value === -1 ? undefined : value;
}

/** The limits, which `update` changes as well. */
export const resourceFlags = {
  memory: size("m", "memory limit"),
  "memory-swap": sizeOrUnlimited("memory and swap together; -1: unlimited swap", rare),
  "memory-reservation": size("", "memory the kernel tries to leave it", rare),
  "memory-swappiness": parsed("", "N", "how soon the kernel swaps, 0 to 100; cgroup v1 only", swappiness, rare),
  cpus: parsed("", "N", "CPUs it may use, as in 1.5", parseNanoCpus),
  "cpu-shares": integer("c", "N", "weight against other containers (1024)", rare),
  "cpu-period": integer("", "MICROSECONDS", "period of the CPU quota", rare),
  "cpu-quota": integer("", "MICROSECONDS", "CPU time per period", rare),
  "cpu-rt-period": integer("", "MICROSECONDS", "period of its realtime processes; cgroup v1 only", rare),
  "cpu-rt-runtime": integer("", "MICROSECONDS", "CPU time of its realtime processes per period", rare),
  "cpuset-cpus": text("", "LIST", "CPUs it may run on, as in 0-2,7", rare),
  "cpuset-mems": text("", "LIST", "memory nodes it may use", rare),
  "pids-limit": integer("", "N", "most processes at a time; -1: no limit"),
  "blkio-weight": integer("", "N", "weight of its disk access, 10 to 1000", rare),
  "blkio-weight-device": parsedList("", "DEVICE:N", "weight of its access to one disk, as in /dev/sda:500", deviceWeight, rare),
  "device-read-bps": parsedList("", "DEVICE:SIZE", "what it reads in a second, as in /dev/sda:1mb; 0: no limit", bytesRate, rare),
  "device-write-bps": parsedList("", "DEVICE:SIZE", "what it writes in a second", bytesRate, rare),
  "device-read-iops": parsedList("", "DEVICE:N", "how often it reads in a second", operationsRate, rare),
  "device-write-iops": parsedList("", "DEVICE:N", "how often it writes in a second", operationsRate, rare),
  "network-receive": rate("what it receives in each network, as in 20mbit or 2mb; 0: no limit", rare),
  "network-send": rate("what it sends in each network", rare),
};

/** `create` and `update` share it. */
export const restartFlag = parsed("", "POLICY", "no, always, unless-stopped, on-failure[:N] or on-unhealthy[:N]", parseRestart, {
  complete: ["no", "always", "unless-stopped", "on-failure", "on-failure:3", "on-unhealthy"],
});

export const containerFlags = {
  name: text("", "NAME", "name of the container"),
  interactive: bool("i", "keep standard input open"),
  tty: bool("t", "give it a terminal"),
  env: list("e", "KEY[=VALUE]", "environment variable; without value: taken from here"),
  "env-file": list("", "FILE", "environment variables, one per line", { complete: "file" }),
  volume: list("v", "[NAME|HOST:]PATH[:ro]", "volume, or a host directory or file"),
  mount: list("", "type=...,target=PATH,...", "volume, bind, tmpfs or image, spelled out", rare),
  "volumes-from": list("", "CONTAINER[:ro]", "the volumes and binds of another container", { rare: true, complete: "container" }),
  "volume-driver": choice("", ["local"], "of the volumes that -v makes", rare),
  workdir: text("w", "DIR", "working directory inside"),
  user: text("u", "USER[:GROUP]", "user, by name or id"),
  entrypoint: text("", "COMMAND", "instead of the image's entry point"),
  hostname: text("h", "NAME", "host name inside"),
  network: list("", "NETWORK", "network, none, host, container:NAME or cni:NAME (bridge)", {
    aliases: ["net"],
    complete: "network",
  }),
  publish: list("p", "[[ADDRESS:]PORT:]PORT", "answer on a port of the host"),
  ...resourceFlags,
  "read-only": bool("", "make the root file system read-only"),
  secret: list("", "id=NAME,src=FILE|env=VAR,...", "a file /run/secrets/NAME, in memory and in no image"),
  tmpfs: list("", "PATH[:OPTIONS]", "mount a tmpfs"),
  privileged: bool("", "no user namespace, all capabilities and devices"),
  "cap-add": list("", "CAP", "add a capability"),
  "cap-drop": list("", "CAP", "drop a capability; ALL drops all"),
  "security-opt": list("", "OPTION", "no-new-privileges, seccomp=FILE, ...", rare),
  userns: choice("", ["private", "host"], "private: one of its own or none at all; host: none", rare),
  label: list("l", "KEY=VALUE", "label", rare),
  annotation: list("", "KEY=VALUE", "annotation of the OCI specification, for hooks and runtimes", rare),
  "label-file": list("", "FILE", "labels, one per line", { rare: true, complete: "file" }),
  "group-add": list("", "GROUP", "additional group", rare),
  device: list("", "HOST[:PATH[:rwm]]|VENDOR/CLASS=NAME", "device of the host, or of CDI", rare),
  gpus: parsed("", "all|N|device=ID,...", "GPUs, by CDI", parseGpus, { ...rare, complete: ["all"] }),
  "device-cgroup-rule": list("", "RULE", "device access, as in 'c 42:* rmw'", rare),
  "publish-all": bool("P", "publish all ports it exposes", rare),
  expose: list("", "PORT", "port it answers on", rare),
  ip: text("", "ADDRESS", "IPv4 address in its network", rare),
  ip6: text("", "ADDRESS", "IPv6 address in its network", rare),
  "mac-address": text("", "ADDRESS", "hardware address in its network", rare),
  "network-alias": list("", "NAME", "another name in its network", rare),
  link: list("", "CONTAINER[:ALIAS]", "a name for another container that it alone knows", { rare: true, complete: "container" }),
  dns: list("", "ADDRESS", "name server instead of the host's", rare),
  "dns-search": list("", "DOMAIN", "search domain; . for none", rare),
  "dns-option": list("", "OPTION", "option of the resolver", rare),
  "add-host": list("", "NAME:ADDRESS", "line of /etc/hosts; ADDRESS may be host-gateway", rare),
  domainname: text("", "NAME", "domain name inside", rare),
  sysctl: list("", "KEY=VALUE", "kernel parameter of its namespaces", rare),
  ulimit: list("", "NAME=SOFT[:HARD]", "resource limit, as in nofile=1024", rare),
  "shm-size": size("", "size of /dev/shm (64m)", rare),
  init: bool("", "a small init as process 1", rare),
  pid: text("", "host|container:NAME", "process id namespace", rare),
  ipc: text("", "private|shareable|none|host|container:NAME", "IPC namespace", rare),
  uts: text("", "host", "host name namespace", rare),
  cgroupns: choice("", ["private", "host"], "cgroup namespace", rare),
  runtime: text("", "NAME|PATH", "OCI runtime that makes it, as runc; see onggi system runtimes", {
    rare: true,
    complete: ["onggi", "runc", "crun", "onggi-runtime"],
  }),
  "cgroup-parent": text("", "PATH", "cgroup to make its own in", rare),
  "oom-kill-disable": bool("", "do not kill it when out of memory (cgroup v1)", rare),
  "oom-score-adj": integer("", "N", "-1000 to 1000: later or sooner killed", rare),
  "stop-signal": text("", "SIGNAL", "signal that stops it", rare),
  "stop-timeout": integer("", "SECONDS", "patience before it is killed", rare),
  "log-driver": choice(
    "",
    ["json-file", "local", "journald", "syslog", "cri", "none"],
    "how output is logged, and to whom",
    rare,
  ),
  "log-opt": list("", "KEY=VALUE", "max-size=SIZE, max-file=N, tag=TEMPLATE, syslog-address=...", rare),
  cidfile: text("", "FILE", "write the container's id there", { rare: true, complete: "file" }),
  platform: platform("of IMAGE the one for this; other machines' programs need an emulator", rare),
  pull: choice("", ["missing", "never", "always"], "when to pull the image (missing)", rare),
  quiet: bool("q", "no progress of a pull", rare),
  rootfs: text("", "DIR", "a host directory as root instead of IMAGE's layers", { rare: true, complete: "directory" }),
  restart: restartFlag,
  "health-cmd": text("", "COMMAND", "command whose success says that it is healthy"),
  "health-interval": duration("how often it is run (30s)"),
  "health-timeout": duration("how long it may take (30s)"),
  "health-retries": integer("", "N", "failures in a row that make it unhealthy (3)", rare),
  "health-start-period": duration("time after a start in which failures do not count (0s)"),
  "health-start-interval": duration("how often it is run in that time (5s)"),
  "no-healthcheck": bool("", "do not look at its health, whatever the image says", rare),

  "storage-opt": later("", "OPTION", "quotas on the root file system"),
};

/** How a command that attaches deals with the terminal. */
export const attachFlags = {
  "detach-keys": text("", "KEYS", "keys that detach (ctrl-p,ctrl-q)", rare),
  "sig-proxy": bool("", "pass signals on to the container (true)", rare),
};
