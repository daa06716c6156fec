/** The keys of Docker's daemon.json, and what becomes of each here. docs/configuration.md has them as a table. Pure. */
import { isTable } from "../lib/toml.ts";
import type { Values } from "./engine-keys.ts";
import { isPath } from "./engine-kinds.ts";

export type DaemonKey =
  /** As the setting of engine.toml with that name. */
  | { readonly how: "same"; readonly note: string }
  | {
      readonly how: "differs";
      readonly note: string;
      /** Which values it takes; what it says in settings of engine.toml, null for a value that is not taken. */
      readonly words: string;
      readonly take: (value: unknown) => Values | null;
    }
  | { readonly how: "refused"; readonly note: string };

const same = (note = ""): DaemonKey => ({ how: "same", note });
const refused = (note: string): DaemonKey => ({ how: "refused", note });
const differs = (note: string, words: string, take: (value: unknown) => Values | null): DaemonKey => ({
  ...{ how: "differs", note, words, take },
});

/** Taken if it is one of these; changes nothing. */
const only = (note: string, ...values: readonly unknown[]): DaemonKey =>
  differs(note, values.map((value) => JSON.stringify(value)).join(" or "), (value) => (values.includes(value) ? {} : null));
const boolean = (note: string): DaemonKey => only(note, true, false);
const number = (note: string): DaemonKey => differs(note, "a number", (value) => (typeof value === "number" ? {} : null));

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string");

function driverOf(value: unknown): Values | null {
  if (!isTexts(value)) return null;
  const drivers = value.map((option) => /^native\.cgroupdriver=(cgroupfs|systemd)$/.exec(option)?.[1]);
  const driver = drivers.at(-1) as "cgroupfs" | "systemd" | undefined;
  return drivers.includes(undefined) || !driver ? null : { "cgroup-driver": driver };
}

/** fd:// is what systemd has opened, which needs no word. */
function placesOf(value: unknown): Values | null {
  if (!isTexts(value)) return null;
  const sockets = value.filter((one) => one.startsWith("unix://")).map((one) => one.slice("unix://".length));
  const ports = value.filter((one) => one.startsWith("tcp://"));
  const others = value.length - sockets.length - ports.length - value.filter((one) => one.startsWith("fd://")).length;
  if (others > 0 || sockets.length > 1 || !sockets.every(isPath)) return null;
  return {
    ...(sockets[0] === undefined ? {} : { "docker-socket": sockets[0] }),
    ...(ports.length === 0 ? {} : { "docker-host": ports.join(",") }),
  };
}

function featuresOf(value: unknown): Values | null {
  if (!isTable(value) || !Object.values(value).every((one) => typeof one === "boolean")) return null;
  return value.cdi === false ? { "cdi-spec-dirs": [] } : {};
}

const noSwarm = refused("there is no swarm here");
const noContainerd = refused("there is no containerd here");
const realtime = refused("a container that is given --cpu-rt-runtime gets it, as far as the host has it");

export const daemonKeys: Readonly<Record<string, DaemonKey>> = {
  "allow-nondistributable-artifacts": differs("layers are pushed wherever they may come from", "a list", (value) =>
    Array.isArray(value) ? {} : null,
  ),
  "allow-direct-routing": refused("what may reach a container is its network's: see networks.md"),
  "api-cors-header": refused("Docker has removed it"),
  "authorization-plugins": refused("who may do what is not asked of plugins"),
  bip: same(),
  bip6: refused("the default network has IPv4 alone; make one with --ipv6"),
  bridge: refused(
    "the default network's bridge is the engine's own; make a network with the option com.docker.network.bridge.name",
  ),
  "bridge-accept-fwmark": refused("packets are not told by marks"),
  builder: refused("what it says is of Docker's builder"),
  "cdi-spec-dirs": same(),
  "cgroup-parent": same(),
  containerd: noContainerd,
  "containerd-namespace": noContainerd,
  "containerd-plugin-namespace": noContainerd,
  "cpu-rt-period": realtime,
  "cpu-rt-runtime": realtime,
  "cri-containerd": noContainerd,
  "data-root": refused("it is what an engine is called by: --root DIRECTORY, or ONGGI_ROOT; images are not shared with Docker's"),
  debug: same(),
  "default-address-pools": same(),
  "default-cgroupns-mode": same(),
  "default-gateway": refused("the gateway of the default network is the host's address in it: bip"),
  "default-gateway-v6": refused("the default network has IPv4 alone"),
  "default-init": refused("--init is a program of the engine's own"),
  "default-ipc-mode": same(),
  "default-network-opts": same(),
  "default-runtime": same("absent: `onggi`"),
  "default-shm-size": same(),
  "default-ulimits": same(),
  "deprecated-key-path": only("changes nothing, as with Docker", ""),
  dns: same(),
  "dns-opts": same(),
  "dns-search": same(),
  "exec-opts": differs("`native.cgroupdriver`", '["native.cgroupdriver=cgroupfs"] or ["native.cgroupdriver=systemd"]', driverOf),
  "exec-root": refused("it is what an engine is called by: --run DIRECTORY, or ONGGI_RUN"),
  experimental: boolean("changes nothing: nothing here waits for it"),
  features: differs(
    "`cdi`: false is an empty `cdi-spec-dirs`; the others change nothing",
    "a table of names and true or false",
    featuresOf,
  ),
  "firewall-backend": only("always nftables, in a table of its own", "nftables"),
  "fixed-cidr": same("without `bip` it is the subnet"),
  "fixed-cidr-v6": refused("the default network has IPv4 alone; make one with --ipv6"),
  group: same("absent: root alone, no group `docker`"),
  "host-gateway-ip": same(),
  "host-gateway-ips": differs("the first counts", "a list of IP addresses", (value) =>
    isTexts(value) ? { "host-gateway-ip": value[0] as string } : null,
  ),
  hosts: differs(
    "one `unix://` (docker-socket), any number of `tcp://` (docker-host, with certificates always); `fd://` needs no word",
    "a list of unix:///PATH, tcp://HOST:PORT and fd://",
    placesOf,
  ),
  icc: same(),
  init: same(),
  "init-path": refused("--init is a program of the engine's own"),
  "insecure-registries": same("prefixes are compared with addresses, not with what names resolve to"),
  ip: same(),
  "ip-forward": only("always on where a network needs it", true),
  "ip-forward-no-drop": boolean("changes nothing: the host's forwarding policy is left as it is"),
  "ip-masq": same(),
  ip6tables: only("always: networks have no other guard", true),
  iptables: only("always: networks have no other guard; in nf_tables", true),
  ipv6: only("the default network has IPv4 alone; make one with --ipv6", false),
  labels: same(),
  "live-restore": only("always: no engine's end ends a container", true),
  "log-driver": same(),
  "log-format": only("lines of text", "text"),
  "log-level": differs(
    "`debug` is `debug`; there are no other levels: `info` to `fatal` change nothing",
    '"debug", "info", "warn", "error" or "fatal"',
    (value) => (value === "debug" ? { debug: true } : ["info", "warn", "error", "fatal"].includes(value as string) ? {} : null),
  ),
  "log-opts": same(),
  "max-concurrent-downloads": same("absent: 4"),
  "max-concurrent-uploads": same("absent: 5"),
  "max-download-attempts": refused("what will pass is tried five times"),
  "metrics-addr": refused("there are no metrics"),
  mtu: same("absent: the host's uplink's"),
  "network-control-plane-mtu": noSwarm,
  "network-diagnostic-port": noSwarm,
  "no-new-privileges": same(),
  "node-generic-resources": noSwarm,
  "oom-score-adjust": refused("Docker has removed it; systemd has OOMScoreAdjust="),
  pidfile: refused("onggi engine status --format '{{.Pid}}' says it"),
  proxies: same(),
  "raw-logs": boolean("changes nothing: the engine's messages have no colours"),
  "registry-mirrors": same("also for pulls by digest; credentials of docker.io never go there"),
  "resolv-conf": refused("/etc/resolv.conf is read; containers get others by dns"),
  rootless: refused("a flag of Docker's, not a key"),
  runtimes: differs("`path` alone", "a table of names and { path }", () => ({})),
  "seccomp-profile": same(),
  "selinux-enabled": only("labels are given where they are asked for", false),
  "shutdown-timeout": number("changes nothing: containers run on when the engine stops"),
  "storage-driver": only("taken for what is here: layers as EROFS below overlayfs", "overlay2", "overlayfs"),
  "storage-opts": refused("there is one way of storing layers, without options"),
  "swarm-default-advertise-addr": noSwarm,
  "swarm-raft-election-tick": noSwarm,
  "swarm-raft-heartbeat-tick": noSwarm,
  tls: boolean("changes nothing: on TCP clients always show certificates"),
  tlscacert: same(),
  tlscert: same(),
  tlskey: same(),
  tlsverify: only("always", true),
  "userland-proxy": boolean("changes nothing: there is none, the kernel translates for the host's own addresses too"),
  "userland-proxy-path": refused("there is no userland proxy"),
  "userns-remap": only(
    "always: every container has a range of ids of its own, or that of the one whose IPC it joins, unless it asks for --userns host",
    "",
    "default",
  ),
};
