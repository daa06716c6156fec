/**
 * What an administrator wants of an engine, as it is read from engine.toml, daemon.json, flags and the environment. It is read at the
 * start and whenever the engine is told to read it anew; `reload.ts` says what then takes effect.
 */

import type { RegistrySettings } from "../images/remote/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { settingChecks } from "../networks/settings.ts";
import type { NetworkSettings } from "../networks/types.ts";
import { parseProfile } from "../runtime/seccomp/index.ts";
import { type ContainerDefaults, defaultLog, profileText } from "./container-defaults.ts";
import type { CollectionSettings } from "./gc-plan.ts";
import { checkLog } from "./log-options.ts";
import { checkNameServer } from "./network-files.ts";
import type { RuntimeOptions } from "./runtimes.ts";
import type { EngineSetting } from "./types.ts";

export interface Configuration {
  /** What it says, and where. */
  readonly settings: readonly EngineSetting[];
  readonly runtimes: RuntimeOptions;
  /** Path of policy.toml; absent: /etc/onggi/policy.toml. */
  readonly policy?: string | undefined;
  readonly registries: RegistrySettings;
  readonly containers: ContainerDefaults;
  readonly networks: NetworkSettings;
  /** Address that "host-gateway" stands for; absent: the host's in the default network. */
  readonly hostGateway?: string | undefined;
  /** Layers of one image that are fetched, and sent, at a time; absent: as many as is good. */
  readonly downloads?: number | undefined;
  readonly uploads?: number | undefined;
  /** Without limits: nothing is collected unless somebody asks for it. */
  readonly gc: CollectionSettings;
  /** "key=value": shown by `info`. */
  readonly labels: readonly string[];
  /** Where files of the Container Device Interface lie; the later comes first. */
  readonly cdiDirectories: readonly string[];
  /** Requests are logged. */
  readonly debug: boolean;
}

export const nothingConfigured: Configuration = {
  settings: [],
  runtimes: {},
  registries: { insecure: [], mirrors: [] },
  containers: { log: { driver: "json-file", options: {} } },
  networks: { pools: [], options: {}, bridge: { options: {} } },
  gc: { all: false, every: 3600 },
  labels: [],
  cdiDirectories: ["/etc/cdi", "/var/run/cdi"],
  debug: false,
};

/** Looks at what only the engine can. Throws "engine_config_invalid", with the place. */
export function checkConfiguration({ settings, containers, networks }: Configuration): void {
  const checked = (name: string, check: () => void): void => {
    try {
      check();
    } catch (error) {
      const { from = "", line } = settings.find((setting) => setting.name === name) ?? {};
      const place = line === undefined ? `${from}: ` : `${from}: line ${line}: `;
      throw new OnggiError("engine_config_invalid", `${place}"${name}": ${messageOf(error)}`);
    }
  };
  const { log, dns = [], seccomp } = containers;
  checked(Object.keys(log.options).length > 0 ? "log-opts" : "log-driver", () => checkLog(defaultLog(log)));
  checked("dns", () => dns.forEach(checkNameServer));
  checked("seccomp-profile", () => {
    if (seccomp?.startsWith("/")) parseProfile(profileText(seccomp));
  });
  checked("default-address-pools", () => settingChecks.pools(networks));
  checked(networks.bridge.address === undefined ? "fixed-cidr" : "bip", () => settingChecks.bridge(networks));
  checked("default-network-opts", () => settingChecks.options(networks));
}
