/**
 * What an engine says of its networks, held against the kernel and the resolver. For engines whose host is a network namespace of the
 * test's, so that every link and rule there is the engine's.
 *
 *     using host = new Netns("host");
 *     const engine = startEngine({ under: host.enter });
 *     await expectTruth(engine, host);
 */
import { expect } from "bun:test";
import { join } from "node:path";
import { type Engine, eventually } from "./engine.ts";
import { engineTag } from "./leaks.ts";
import type { Netns } from "./netns.ts";

/** What of `inspect` is looked at. */
export interface Connected {
  readonly Id: string;
  readonly Name: string;
  readonly State: { readonly Status: string; readonly Running: boolean; readonly Pid: number };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string; readonly HostPort: string }[] | null>>;
    readonly Networks: Readonly<
      Record<string, { readonly IPAddress: string; readonly Gateway: string; readonly Aliases: readonly string[] | null }>
    >;
  };
}

interface InspectedNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Driver: string;
  readonly Containers: Readonly<Record<string, { readonly IPv4Address: string }>>;
}

const lines = (text: string): string[] => text.split("\n").filter(Boolean);

export async function inspectAll(engine: Engine): Promise<Connected[]> {
  const ids = lines(await engine.ok(["ps", "-aq", "--no-trunc"]));
  return ids.length === 0 ? [] : JSON.parse(await engine.ok(["inspect", ...ids]));
}

const addresses = ({ NetworkSettings }: Pick<Connected, "NetworkSettings">): string[] =>
  Object.values(NetworkSettings.Networks)
    .map(({ IPAddress }) => IPAddress)
    .sort();

/**
 * Asserts: containers that run have in their namespaces the addresses that are said, `network inspect` says the same ones, the host has
 * their cables and bridges and no others, its rules lead to the ports that are said and to no others, every container finds its
 * neighbours by name, and the containers' files agree. Cables are taken away in the background, and are waited for.
 */
export async function expectTruth(engine: Engine, host: Netns): Promise<Connected[]> {
  const containers = await inspectAll(engine);
  const running = containers.filter(({ State }) => State.Running);
  const networks = JSON.parse(
    await engine.ok(["network", "inspect", ...lines(await engine.ok(["network", "ls", "-q"]))]),
  ) as InspectedNetwork[];

  for (const container of running) {
    expect(await inNamespace(container.State.Pid)).toEqual(addresses(container));
    const gateways = Object.values(container.NetworkSettings.Networks).flatMap(({ Gateway }) => Gateway || []);
    const [, route = "none"] = /^default via (\S+)/.exec(await output(container.State.Pid, "ip", "-4", "route")) ?? [];
    expect(gateways.length > 0 ? gateways : ["none"]).toContain(route);
  }
  const said = running.flatMap(({ Id, NetworkSettings: { Networks } }) =>
    Object.entries(Networks).map(([name, { IPAddress }]) => `${name} ${Id} ${IPAddress}`),
  );
  const members = networks.flatMap(({ Name, Containers }) =>
    Object.entries(Containers).map(([id, { IPv4Address }]) => `${Name} ${id} ${IPv4Address.replace(/\/.*/, "")}`),
  );
  expect(members.sort()).toEqual(said.sort());

  const cables = (): string[] =>
    host.net
      .linkList()
      .map(({ name }) => name)
      .filter((name) => name.startsWith(`v${engineTag(engine.base)}`));
  // one too many may be on its way out
  await eventually("cables have gone", () => cables().length <= said.length).catch(() => {});
  if (cables().length !== said.length) throw new Error(`${said.length} endpoints, but the cables ${cables().join(" ")}`);
  const bridges = new Set(
    networks.map(({ Id, Name }) => (Name === "bridge" ? `og-${engineTag(engine.base)}` : `br-${Id.slice(0, 12)}`)),
  );
  const strange = host.net.linkList().filter(({ kind, name }) => kind === "bridge" && name !== "lan" && !bridges.has(name));
  expect(strange.map(({ name }) => name)).toEqual([]);

  expect(await portsInRules(engine, host)).toEqual(running.flatMap(portsOf).sort());
  for (const container of running) {
    await expectNames(container, running);
    await expectFiles(engine, container);
  }
  return containers;
}

/** IPv4 addresses but for the loopback's. */
async function inNamespace(pid: number): Promise<string[]> {
  const text = await output(pid, "ip", "-j", "-4", "address");
  const found = JSON.parse(text) as { ifname: string; addr_info: { local: string }[] }[];
  return found
    .filter(({ ifname }) => ifname !== "lo")
    .flatMap(({ addr_info }) => addr_info.map(({ local }) => local))
    .sort();
}

async function output(pid: number, ...command: string[]): Promise<string> {
  const child = Bun.spawn(["nsenter", "-n", "-t", String(pid), ...command], { stdin: "ignore", stderr: "ignore" });
  return await child.stdout.text();
}

/** "tcp . 8080": of all addresses, by IPv4; each must be translated and, as it is behind the host's rules, on the detour. */
export async function portsInRules(engine: Engine, host: Netns): Promise<string[]> {
  const table = `onggi_${engineTag(engine.base)}`;
  const { stdout } = await host.run("nft", "list", "map", "inet", table, "heldAny4");
  const translated = [...stdout.matchAll(/(\w+) \. (\d+) : [\d.]+ \. \d+/g)]
    .map(([, protocol, port]) => `${protocol} . ${port}`)
    .sort();
  const { stdout: detour, exitCode } = await host.run("nft", "list", "set", "ip", `${table}_detour`, "any");
  const elements = /elements = \{([^}]*)\}/s.exec(detour)?.[1] ?? "";
  const steered = [...elements.matchAll(/(\w+) \. (\d+)/g)].map(([, protocol, port]) => `${protocol} . ${port}`).sort();
  if (exitCode === 0 || translated.length > 0) expect(steered).toEqual(translated);
  return translated;
}

const portsOf = ({ NetworkSettings: { Ports } }: Connected): string[] =>
  Object.entries(Ports).flatMap(([port, places]) =>
    (places ?? [])
      .filter(({ HostIp }) => HostIp === "0.0.0.0")
      .map(({ HostPort }) => `${port.replace(/^.*\//, "")} . ${HostPort}`),
  );

/** Every name and alias of the neighbours, in each network with names, and its addresses: all of them and no others. */
async function expectNames(asker: Connected, running: readonly Connected[]): Promise<void> {
  const expected = new Map<string, Set<string>>();
  for (const network of Object.keys(asker.NetworkSettings.Networks).filter((name) => name !== "bridge"))
    for (const { Name, NetworkSettings } of running) {
      const endpoint = NetworkSettings.Networks[network];
      if (!endpoint) continue;
      for (const name of [Name.slice(1), ...(endpoint.Aliases ?? [])])
        expected.set(`${name}.${network}`, (expected.get(`${name}.${network}`) ?? new Set()).add(endpoint.IPAddress));
    }
  if (expected.size === 0) return;
  const text = await output(asker.State.Pid, "dig", "+noall", "+answer", "+tries=3", "@127.0.0.11", ...expected.keys());
  const found = new Map([...expected.keys()].map((name) => [name, new Set<string>()]));
  for (const [, name = "", address = ""] of text.matchAll(/^(\S+)\.\s+\d+\s+IN\s+A\s+(\S+)$/gm)) found.get(name)?.add(address);
  expect([asker.Name, found]).toEqual([asker.Name, expected]);
}

/** The container's own files say the same: its addresses, and where to ask for names. */
async function expectFiles(engine: Engine, { Id, Name, NetworkSettings }: Connected): Promise<void> {
  const directory = join(engine.root, "containers", Id);
  const hosts = await Bun.file(join(directory, "hosts")).text();
  const own = addresses({ NetworkSettings });
  const networks = Object.keys(NetworkSettings.Networks);
  const found = [...hosts.matchAll(/^(10\.\d+\.\d+\.\d+|172\.\S+|192\.\S+)\t/gm)].map(([, address]) => address!).sort();
  expect([Name, found]).toEqual([Name, own]);
  const asks = (await Bun.file(join(directory, "resolv.conf")).text()).includes("127.0.0.11");
  expect([Name, asks]).toEqual([Name, networks.some((name) => name !== "bridge")]);
}
