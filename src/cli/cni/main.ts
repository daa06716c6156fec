/**
 * `onggi-cni`, the CNI plugin: puts sandboxes of other runtimes into networks of a running engine. See docs/cni-plugin.md and, for the
 * protocol, https://www.cni.dev/docs/spec/ (1.1.0).
 */
import type { CallName, Calls } from "../../api/control/protocol.ts";
import { type Configuration, capabilitiesOf, configurationOf, parseObject, validAttachments, versions } from "./configuration.ts";
import { type Attachment, argumentsOf, attachmentOf, type Environment } from "./environment.ts";
import { asCniError, CniError, CODE } from "./errors.ts";
import { compare, previousOf, resultOf } from "./result.ts";
import type { Dictionary } from "./shapes.ts";
import { invalid } from "./shapes.ts";

/** Everything the plugin touches outside itself. */
export interface CniPorts {
  readonly env: Environment;
  readonly version: string;
  /** Standard input to its end. Throws for more than `most` bytes. */
  stdin(most: number): Promise<Uint8Array>;
  stdout(text: string): void;
  stderr(text: string): void;
  /** Calls the engine that runs. */
  call<K extends CallName>(socket: string, name: K, request: Calls[K]["request"]): Promise<Calls[K]["result"]>;
  /** Whether a namespace is there. */
  isNamespace(path: string): boolean;
}

/** Largest configuration that is read, bytes: GC names every attachment. */
const LARGEST = 4 * 1024 * 1024;
const NEWEST = versions[versions.length - 1]!;

interface Work {
  readonly ports: CniPorts;
  readonly configuration: Configuration;
  call<K extends CallName>(name: K, request: Calls[K]["request"]): Promise<Calls[K]["result"]>;
}

interface Command {
  /** The first version of the specification that has it. */
  readonly since: (typeof versions)[number];
  /** What is printed, if anything is. */
  run(work: Work): Promise<object | undefined>;
}

const commands: Readonly<Record<string, Command>> = {
  ADD: { since: "0.3.1", run: add },
  DEL: { since: "0.3.1", run: del },
  CHECK: { since: "0.4.0", run: check },
  GC: { since: "1.1.0", run: collect },
  STATUS: { since: "1.1.0", run: status },
};

/** Runs the command that the environment names; resolves with the exit status. Never rejects. */
export async function cniMain(ports: CniPorts): Promise<number> {
  const name = ports.env.CNI_COMMAND ?? "";
  if (name === "") {
    ports.stderr(`onggi-cni ${ports.version}: a CNI plugin, called by container runtimes\n`);
    ports.stderr(`CNI protocol versions supported: ${versions.join(", ")}\n`);
    return 0;
  }
  let cniVersion: string = NEWEST;
  try {
    if (name !== "VERSION" && !Object.hasOwn(commands, name)) {
      throw new CniError(CODE.invalidEnvironment, `CNI_COMMAND ${JSON.stringify(name.slice(0, 100))} is no command`);
    }
    const input = await read(ports);
    if (name === "VERSION") {
      print(ports, supported(input.length === 0 ? {} : parseObject(input)));
      return 0;
    }
    const configuration = configurationOf(parseObject(input));
    cniVersion = configuration.cniVersion;
    const { since, run } = commands[name]!;
    if (versions.indexOf(configuration.cniVersion) < versions.indexOf(since)) {
      throw new CniError(CODE.incompatibleVersion, `${name} is of CNI ${since}, the configuration's cniVersion is ${cniVersion}`);
    }
    const { socket } = configuration;
    const result = await run({ ports, configuration, call: (call, request) => ports.call(socket, call, request) });
    if (result !== undefined) print(ports, result);
    return 0;
  } catch (error) {
    print(ports, asCniError(error).toJSON(cniVersion));
    return 1;
  }
}

const print = ({ stdout }: CniPorts, value: object): void => stdout(`${JSON.stringify(value)}\n`);

const read = (ports: CniPorts): Promise<Uint8Array> =>
  ports.stdin(LARGEST).catch((error: unknown) => {
    throw new CniError(CODE.io, `standard input: ${(error as Error).message}`);
  });

function supported({ cniVersion }: Dictionary): object {
  return { cniVersion: typeof cniVersion === "string" ? cniVersion.slice(0, 100) : NEWEST, supportedVersions: versions };
}

function networkOf({ network }: Configuration): string {
  if (network === undefined) throw invalid("network", "which network of the engine it is, is not said");
  return network;
}

async function add({ ports: { env }, configuration, call }: Work): Promise<object> {
  const attachment = attachmentOf(env, true);
  const { name, ip, mac: macArgument } = argumentsOf(env);
  const { publish, ips, mac = macArgument, aliases, dns, bandwidth } = capabilitiesOf(configuration);
  const previous = previousOf(configuration);
  const { isDefaultGateway } = configuration;
  const answer = await call("guestAttach", {
    ...attachment,
    network: networkOf(configuration),
    configuration: configuration.name,
    ...(name === undefined ? {} : { name }),
    aliases,
    ...fixed(ips.length > 0 || ip === undefined ? ips : [ip.replace(/\/\d{1,3}$/, "")]),
    ...(mac === undefined ? {} : { mac }),
    publish,
    ...(Object.keys(bandwidth).length > 0 ? { bandwidth } : {}),
    dns: dns.nameservers ?? configuration.dns.nameservers ?? [],
    ...(isDefaultGateway === undefined ? {} : { defaultRoute: isDefaultGateway }),
  });
  return resultOf(answer, attachment, configuration, dns, previous);
}

function fixed(ips: readonly string[]): { readonly ipv4?: string; readonly ipv6?: string } {
  const [ipv4, ...moreOfFour] = ips.filter((ip) => !ip.includes(":"));
  const [ipv6, ...moreOfSix] = ips.filter((ip) => ip.includes(":"));
  if (moreOfFour.length + moreOfSix.length > 0) throw invalid("ips", "one address of each family is all that an interface has");
  return { ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) };
}

async function del({ ports, call }: Work): Promise<undefined> {
  const attachment = attachmentOf(ports.env, false);
  try {
    await call("guestDetach", pick(attachment));
  } catch (error) {
    // what it had in the engine is given back when that starts and finds the namespace gone
    const isUnreachable = asCniError(error).code === CODE.tryAgainLater;
    if (!isUnreachable || (attachment.netns !== "" && ports.isNamespace(attachment.netns))) throw error;
  }
}

const pick = ({ containerId, interface: name }: Attachment) => ({ containerId, interface: name });

async function check({ ports: { env }, configuration, call }: Work): Promise<undefined> {
  const attachment = attachmentOf(env, true);
  const previous = previousOf(configuration);
  if (previous === undefined) throw invalid("prevResult", "CHECK needs the result of ADD");
  const network = networkOf(configuration);
  const found = await call("guestCheck", attachment);
  if (![found.network.id, found.network.name].includes(network)) {
    throw new CniError(CODE.refused, `interface ${attachment.interface} is in network ${found.network.name}, not in ${network}`);
  }
  compare(found, attachment, previous);
}

async function collect({ configuration, call }: Work): Promise<undefined> {
  await call("guestCollect", { configuration: configuration.name, valid: validAttachments(configuration) });
}

async function status({ configuration, call }: Work): Promise<undefined> {
  const network = networkOf(configuration);
  await call("guestStatus", { network }).catch((error: unknown) => {
    throw new CniError(CODE.unavailable, (error as Error).message, { cause: error });
  });
}
