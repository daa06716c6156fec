/** The settings of engine.toml. docs/configuration.md lists them. Pure. */
import * as kinds from "./engine-kinds.ts";

interface Key<T> {
  readonly kind: kinds.Kind<T>;
  /** What holds where nothing is said, as `engine config` shows it. */
  readonly otherwise: string | ((run: string) => string);
  /** When a changed value takes effect: as soon as the engine is told to reload, or with the next engine. */
  readonly when: "reload" | "restart";
}

const now = <T>(kind: kinds.Kind<T>, otherwise: Key<T>["otherwise"] = ""): Key<T> => ({ kind, otherwise, when: "reload" });
const later = <T>(kind: kinds.Kind<T>, otherwise: Key<T>["otherwise"] = ""): Key<T> => ({ kind, otherwise, when: "restart" });

/** Those that a flag of `engine start` and a variable of the environment may say too. */
export const flagKeys = {
  "cgroup-driver": later(kinds.oneOf("cgroupfs", "systemd"), "cgroupfs"),
  "default-runtime": now(kinds.text("a runtime's name"), "onggi"),
  registries: now(kinds.path, "/etc/onggi/registries.toml"),
  policy: now(kinds.path, "/etc/onggi/policy.toml"),
  "docker-socket": later(kinds.or("none", kinds.path), (run) => `${run}/docker.sock`),
  "read-only-socket": later(kinds.or("none", kinds.path), "none"),
  "docker-host": later(kinds.hosts, "none"),
  tlscacert: later(kinds.path, "none"),
  tlscert: later(kinds.path, "none"),
  tlskey: later(kinds.path, "none"),
  "cni-config-dir": later(kinds.path, "/etc/cni/net.d"),
  "cni-bin-dir": later(kinds.paths, "/opt/cni/bin:/usr/lib/cni"),
  "cni-timeout": later(kinds.seconds, "30"),
} as const;

const logDrivers = ["json-file", "local", "cri", "journald", "syslog", "none"] as const;

export const fileKeys = {
  debug: now(kinds.boolean, "false"),
  labels: now(kinds.labels),
  clients: now(kinds.clients, "[]"),
  group: later(kinds.matching(/^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/, "a group's name or number")),

  "log-driver": now(kinds.oneOf(...logDrivers), "json-file"),
  "log-opts": now(kinds.texts('a table of texts, such as max-size = "10m"')),
  "default-ulimits": now(kinds.ulimits),
  "default-shm-size": now(kinds.size, "67108864"),
  "default-cgroupns-mode": now(kinds.oneOf("private", "host"), "private"),
  "default-ipc-mode": now(kinds.oneOf("private", "shareable"), "private"),
  "cdi-spec-dirs": now(kinds.list(kinds.path, "a list of absolute paths"), "/etc/cdi,/var/run/cdi"),
  "cgroup-parent": now(kinds.text("a cgroup, or a slice")),
  init: now(kinds.boolean, "false"),
  "no-new-privileges": now(kinds.boolean, "false"),
  "seccomp-profile": now(kinds.or("builtin", kinds.or("unconfined", kinds.path)), "builtin"),

  dns: now(kinds.list(kinds.address, "a list of IP addresses")),
  "dns-opts": now(kinds.list(kinds.text("an option"), "a list of options of resolv.conf")),
  "dns-search": now(kinds.list(kinds.text("a domain"), "a list of domains")),
  "host-gateway-ip": now(kinds.address),

  "default-address-pools": now(kinds.pools),
  "default-network-opts": now(kinds.networkOptions),
  bip: later(kinds.interface4),
  "fixed-cidr": later(kinds.prefix4),
  mtu: later(kinds.whole(68, 65_535)),
  icc: later(kinds.boolean, "true"),
  "ip-masq": later(kinds.boolean, "true"),
  ip: later(kinds.address4, "0.0.0.0"),
  publish: later(kinds.oneOf("open", "host-firewall"), "host-firewall"),

  "insecure-registries": now(kinds.registries),
  "registry-mirrors": now(kinds.mirrors),
  "max-concurrent-downloads": now(kinds.whole(1, 100), "4"),
  "max-concurrent-uploads": now(kinds.whole(1, 100), "5"),
  proxies: later(kinds.proxies),
  gc: now(kinds.collection),
} as const;

export const keys = { ...flagKeys, ...fileKeys } as const;

export type FlagKey = keyof typeof flagKeys;
export type KeyName = keyof typeof keys;

/** What is said; absent: nothing. */
export type Values = { readonly [K in KeyName]?: (typeof keys)[K] extends Key<infer T> ? T : never };

export const names = Object.keys(keys) as KeyName[];

/** Of a runtime. */
export const isName = (value: string): boolean => /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(value);

/** A value as one text, without the credentials in addresses. */
export const shown = (value: unknown): string => written(value).replaceAll(/\/\/[^/@\s]+@/g, "//xxxxx:xxxxx@");

function written(value: unknown): string {
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(",");
  if (typeof value !== "object" || value === null) return String(value);
  const entries = Object.entries(value);
  const plain = !Array.isArray(value) && entries.every(([, item]) => typeof item === "string");
  return plain ? entries.map(([name, item]) => `${name}=${item}`).join(",") : JSON.stringify(value);
}
