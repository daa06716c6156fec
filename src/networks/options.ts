/** Driver options of networks, under Docker's names. Pure. */
import { NetworkError } from "./errors.ts";
import type { NetworkDriver } from "./types.ts";

const BRIDGE = "com.docker.network.bridge.";
const MTU = "com.docker.network.driver.mtu";
const ENCRYPTED = "encrypted";
const PUBLISH = "publish";
const PREFIX = "com.docker.network.container_iface_prefix";

/** Of macvlan(8): who of the containers on one parent reaches whom. */
export type MacvlanMode = "bridge" | "private" | "vepa" | "passthru";

/** The same of ipvlan in its mode l2. */
export type IpvlanFlag = "bridge" | "private" | "vepa";

/** What the options of a network mean. */
export interface DriverOptions {
  /** Absent: as the interface that the default route leads to. */
  readonly mtu?: number;
  /** Names of interfaces in containers begin with it. */
  readonly interfacePrefix: string;
  /** Of bridge: its name on the host; absent: one made from the network's id. */
  readonly bridgeName?: string;
  /** Of bridge: containers reach each other. */
  readonly icc: boolean;
  /** Of bridge: what leaves the host carries the host's address. */
  readonly masquerade: boolean;
  /** Of bridge: the address that ports are published on where a request says all of IPv4. */
  readonly hostBinding?: string;
  /** Of bridge: whether what comes from outside to published ports passes the host's own input rules first. Absent: where the kernel can. */
  readonly publish?: "open" | "host-firewall";
  /** Of overlay: what goes from host to host is encrypted. */
  readonly encrypted: boolean;
  /** Of macvlan and ipvlan. */
  readonly parent: string;
  readonly mode: MacvlanMode;
  readonly ipvlanFlag: IpvlanFlag;
}

const common = [MTU, PREFIX];
const known: Readonly<Record<NetworkDriver, readonly string[]>> = {
  bridge: [
    ...common,
    PUBLISH,
    ...["name", "enable_icc", "enable_ip_masquerade", "host_binding_ipv4", "default_bridge"].map((name) => BRIDGE + name),
  ],
  overlay: [...common, ENCRYPTED, `${BRIDGE}enable_icc`, `${BRIDGE}enable_ip_masquerade`, `${BRIDGE}host_binding_ipv4`],
  macvlan: [...common, "parent", "macvlan_mode"],
  ipvlan: [...common, "parent", "ipvlan_mode", "ipvlan_flag"],
  host: [],
  null: [],
};

/** A network of this kind lies on an interface of the host. */
export const hasParent = ({ driver }: { readonly driver: NetworkDriver }): boolean => driver === "macvlan" || driver === "ipvlan";

const invalid = (message: string): NetworkError => new NetworkError("network_invalid", message);

/** A name that the kernel takes for a link, dev_valid_name(). */
export const isInterfaceName = (name: string): boolean =>
  Buffer.byteLength(name) <= 15 && name !== "" && name !== "." && name !== ".." && !/[\s/:%\0]/.test(name);

function flag(options: Readonly<Record<string, string>>, name: string, otherwise: boolean): boolean {
  const text = options[name];
  if (text === undefined) return otherwise;
  if (["1", "t", "true"].includes(text.toLowerCase())) return true;
  if (["0", "f", "false"].includes(text.toLowerCase())) return false;
  throw invalid(`option ${name}=${text}: give true or false`);
}

/** @throws NetworkError network_invalid for an option that the driver does not know, or a value that it does not take */
export function parseOptions(driver: NetworkDriver, options: Readonly<Record<string, string>>): DriverOptions {
  for (const name of Object.keys(options)) {
    if (!known[driver].includes(name)) {
      const names = known[driver].length === 0 ? "none" : known[driver].join(", ");
      throw invalid(`driver ${driver} has no option "${name}"; it has ${names}`);
    }
  }
  const mtu = options[MTU] === undefined || options[MTU] === "0" ? undefined : Number(options[MTU]);
  if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 68 || mtu > 65_535)) {
    throw invalid(`option ${MTU}=${options[MTU]}: give 68 to 65535 bytes`);
  }
  const interfacePrefix = options[PREFIX] ?? "eth";
  if (!isInterfaceName(`${interfacePrefix}99`)) throw invalid(`option ${PREFIX}=${interfacePrefix}: it begins no interface name`);
  const bridgeName = options[`${BRIDGE}name`];
  if (bridgeName !== undefined && !isInterfaceName(bridgeName)) {
    throw invalid(`option ${BRIDGE}name=${bridgeName}: an interface's name has 1 to 15 bytes, no space and none of / : %`);
  }
  const publish = options[PUBLISH];
  if (publish !== undefined && publish !== "open" && publish !== "host-firewall")
    throw invalid(`option ${PUBLISH}=${publish}: give open or host-firewall`);
  const hostBinding = options[`${BRIDGE}host_binding_ipv4`];
  const mode = options.macvlan_mode ?? "bridge";
  if (mode !== "bridge" && mode !== "private" && mode !== "vepa" && mode !== "passthru") {
    throw invalid(`option macvlan_mode=${mode}: give bridge, private, vepa or passthru`);
  }
  const { ipvlan_mode: ipvlanMode = "l2", ipvlan_flag: ipvlanFlag = "bridge" } = options;
  if (ipvlanMode !== "l2") throw invalid(`option ipvlan_mode=${ipvlanMode}: l2 is the only one there is`);
  if (ipvlanFlag !== "bridge" && ipvlanFlag !== "private" && ipvlanFlag !== "vepa") {
    throw invalid(`option ipvlan_flag=${ipvlanFlag}: give bridge, private or vepa`);
  }
  return {
    ...(mtu === undefined ? {} : { mtu }),
    interfacePrefix,
    ...(bridgeName === undefined ? {} : { bridgeName }),
    icc: flag(options, `${BRIDGE}enable_icc`, true),
    masquerade: flag(options, `${BRIDGE}enable_ip_masquerade`, true),
    ...(hostBinding === undefined || hostBinding === "0.0.0.0" ? {} : { hostBinding }),
    ...(publish === undefined ? {} : { publish }),
    encrypted: flag(options, ENCRYPTED, false),
    parent: options.parent ?? "",
    mode,
    ipvlanFlag,
  };
}
