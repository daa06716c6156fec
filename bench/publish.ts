/**
 * Whether the thousandth container's ports cost what the first one's do: the rules alone, and `run -d` of containers with two
 * published ports, each in a network namespace of its own.
 */
import { Firewall, type FirewallPort } from "../src/networks/firewall/index.ts";
import { onggiCommand, startEngine } from "../test/kit/engine.ts";
import { bootstrapBusybox } from "../test/kit/images.ts";
import { Netns } from "../test/kit/netns.ts";
import { median, type Samples, time } from "./measure.ts";
import type { Row } from "./report.ts";

const CONTAINERS = 1000;
const WIDTH = 8;

const NETWORK = {
  ...{ id: "0".repeat(64), interface: "og-bench", subnets4: ["172.17.0.0/16"], subnets6: [] },
  ...{ internal: false, masquerade: true, icc: true },
};

/** Two ports of the container with that number. */
const portsOf = (container: number): FirewallPort[] =>
  [80, 81].map((containerPort) => ({
    ...{ protocol: "tcp", hostIp: "0.0.0.0", containerPort, interface: NETWORK.interface },
    hostPort: 2 * container + containerPort + 1000,
    containerIp: `172.17.${container >> 8}.${container & 255}`,
  }));

/** Microseconds to publish two ports and take them back, beside `count` containers that have two each. */
function rules(count: number): { measure(): number; close(): void } {
  const host = new Netns("host");
  const firewall = host.inside(() => new Firewall("beefbeef"));
  const others = Array.from({ length: count }, (_, index) => portsOf(index + 2)).flat();
  firewall.ensure([NETWORK], others);
  const ports = portsOf(CONTAINERS + 2);
  const measure = (): number => {
    const start = Bun.nanoseconds();
    firewall.publish(ports);
    firewall.unpublish(ports);
    return (Bun.nanoseconds() - start) / 1000;
  };
  const close = (): void => {
    firewall.close();
    host.close();
  };
  return { measure, close };
}

/** The 1,000th container's rules within one and a half of the first one's. */
export async function publishing(rounds: number): Promise<Row[]> {
  const sides = [rules(0), rules(CONTAINERS - 1)] as const;
  const samples: Samples = { first: [], thousandth: [] };
  for (let round = 0; round < 20 * rounds; round += 1) {
    // both of them warm before the first that counts
    const [first, thousandth] = [sides[0].measure(), sides[1].measure()];
    if (round < rounds) continue;
    samples.first!.push(first);
    samples.thousandth!.push(thousandth);
  }
  for (const side of sides) side.close();
  return [row("rule updates: two ports published and taken back, the 1,000th container's", "us", samples), await containers()];
}

/** The same of real ones: `run -d` of some at the beginning, and of as many at the end. */
async function containers(): Promise<Row> {
  using host = new Netns("onggi");
  const engine = startEngine({ under: host.enter });
  try {
    await bootstrapBusybox(engine);
    const command = [...host.enter, ...onggiCommand, "run", "-d", "-p", "80", "-p", "81", "busybox", "sleep", "100000"];
    const env = { ...(process.env as Record<string, string>), ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run };
    time(command, { env, runs: 10 });
    const some = (): number[] => Array.from({ length: 20 }, () => time(command, { env }));
    const first = some();
    time(command, { env, runs: CONTAINERS - 50, width: WIDTH });
    const samples = { first, thousandth: some() };
    await engine.ok(["rm", "-f", ...(await engine.ok(["ps", "-aq"])).split("\n")], { timeout: 120_000 });
    return row("run -d with two ports, the 1,000th container beside the first", "ms", samples);
  } finally {
    await engine.close();
  }
}

const row = (what: string, unit: string, samples: Samples): Row => ({
  ...{ what, unit, samples, samplesIn: unit },
  ...{ onggi: median(samples.thousandth!), other: median(samples.first!), otherName: "the first", target: { atMost: 1.5 } },
});
