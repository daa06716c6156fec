/** Settings as the engine takes them. Pure. */
import type { Configuration } from "../api/control/types.ts";
import type { Values } from "./engine-keys.ts";
import type { EngineSettings } from "./engine-settings.ts";

const BRIDGE = "com.docker.network.bridge";

/** Without the names whose value is undefined. */
function said<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as ReturnType<typeof said<T>>;
}

export const configurationOf = ({ flags, values, settings }: EngineSettings): Configuration => ({
  settings,
  runtimes: { named: flags.runtimes, defaultName: flags.defaultRuntime },
  policy: flags.policy,
  registries: registriesOf(flags.registries, values),
  containers: containersOf(values),
  networks: networksOf(values),
  hostGateway: values["host-gateway-ip"],
  downloads: values["max-concurrent-downloads"],
  uploads: values["max-concurrent-uploads"],
  gc: { all: false, every: 3600, ...values.gc },
  labels: values.labels ?? [],
  cdiDirectories: values["cdi-spec-dirs"] ?? ["/etc/cdi", "/var/run/cdi"],
  debug: values.debug ?? false,
});

function registriesOf(config: string | undefined, values: Values): Configuration["registries"] {
  const proxies = Object.entries(values.proxies ?? {}).map(([name, url]) => [name.toUpperCase().replace("-", "_"), url]);
  return {
    ...said({ config }),
    insecure: values["insecure-registries"] ?? [],
    mirrors: values["registry-mirrors"] ?? [],
    ...(proxies.length === 0 ? {} : { proxies: Object.fromEntries(proxies) }),
  };
}

const containersOf = (values: Values): Configuration["containers"] => ({
  log: { driver: values["log-driver"] ?? "json-file", options: values["log-opts"] ?? {} },
  ...said({
    ulimits: values["default-ulimits"],
    dns: values.dns,
    dnsSearch: values["dns-search"],
    dnsOptions: values["dns-opts"],
    shmSize: values["default-shm-size"],
    init: values.init,
    noNewPrivileges: values["no-new-privileges"],
    seccomp: values["seccomp-profile"],
    cgroupns: values["default-cgroupns-mode"],
    ipc: values["default-ipc-mode"],
    cgroupParent: values["cgroup-parent"],
  }),
});

/** Of new networks. */
function optionsOf(values: Values): Configuration["networks"]["options"] {
  const options = values["default-network-opts"] ?? {};
  return values.publish === undefined ? options : { ...options, bridge: { publish: values.publish, ...options.bridge } };
}

const networksOf = (values: Values): Configuration["networks"] => ({
  pools: values["default-address-pools"] ?? [],
  options: optionsOf(values),
  bridge: {
    ...said({ address: values.bip, range: values["fixed-cidr"], mtu: values.mtu }),
    options: said({
      [`${BRIDGE}.enable_icc`]: values.icc === false ? "false" : undefined,
      [`${BRIDGE}.enable_ip_masquerade`]: values["ip-masq"] === false ? "false" : undefined,
      [`${BRIDGE}.host_binding_ipv4`]: values.ip,
      publish: values.publish,
    }) as Record<string, string>,
  },
});
