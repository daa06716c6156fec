/**
 * What overlay networks let through between two hosts: as traffic.ts, with the server's container on one and the client's on the other.
 * Next to two dockerds in a swarm. Hosts are network namespaces on one fabric.
 */
import { Cluster } from "../test/kit/cluster.ts";
import { type Docker, dockerUnavailable, startDocker } from "../test/kit/docker.ts";
import { eventually, onggiCommand } from "../test/kit/engine.ts";
import { sh } from "../test/kit/images.ts";
import { Netns } from "../test/kit/netns.ts";
import type { Row } from "./report.ts";
import { IMAGE, imageTar, REQUESTS_PORT, rowsOf, SERVER, type Side, type Way } from "./traffic.ts";

const ways: readonly Way[] = [{ what: "from host to host, overlay", from: "container", to: ({ server }) => server }];
const ADDRESS = "{{.NetworkSettings.Networks.bench.IPAddress}}";

/** One of two hosts. */
interface Member {
  readonly words: readonly string[];
  readonly env: Record<string, string>;
  readonly host: Netns;
}

const call = ({ words, env }: Member, ...args: string[]): string => sh([...words, ...args], { env }).trim();

/** A server on the first, a client on the second. */
async function prepare(name: string, [first, second]: readonly [Member, Member]): Promise<Side> {
  for (const member of [first, second]) call(member, "import", imageTar(), IMAGE);
  call(first, "run", "-d", "--network", "bench", "--name", "server", IMAGE, ...SERVER);
  await eventually("the network is on the second host", () => {
    const run = ["run", "-d", "--network", "bench", "--name", "client", IMAGE, "sleep", "100000"];
    const started = Bun.spawnSync([...second.words, ...run], { env: second.env, stdout: "ignore", stderr: "ignore" });
    if (started.exitCode !== 0) Bun.spawnSync([...second.words, "rm", "-f", "client"], { env: second.env });
    return started.exitCode === 0;
  });
  const server = call(first, "inspect", "-f", ADDRESS, "server");
  const asked = ["exec", "client", "wget", "-q", "-O", "/dev/null", `http://${server}:${REQUESTS_PORT}/`];
  await eventually(`${name}'s server answers`, () => {
    return Bun.spawnSync([...second.words, ...asked], { env: second.env }).exitCode === 0;
  });
  return { name, words: second.words, env: second.env, host: second.host, server };
}

export async function across(rounds: number): Promise<Row[]> {
  const cluster = await Cluster.start(["a", "b"], { alive: 30, addresses: 600 });
  const swarm = dockerUnavailable() ? null : await Swarm.start();
  try {
    const members = cluster.hosts.map(({ engine: { root, run }, ns }): Member => {
      const env = { ...(process.env as Record<string, string>), ONGGI_ROOT: root, ONGGI_RUN: run };
      return { words: [...ns.enter, ...onggiCommand], env, host: ns };
    }) as [Member, Member];
    call(members[0], "network", "create", "-d", "overlay", "bench");
    const sides = [await prepare("onggi", members)];
    if (swarm) sides.push(await prepare("docker", swarm.members));
    return rowsOf(sides, ways, rounds);
  } finally {
    await swarm?.close();
    await cluster.close();
  }
}

class Swarm {
  readonly #fabric = new Netns("swarm");
  readonly #daemons: Docker[] = [];
  readonly #hosts: Netns[] = [];

  static async start(): Promise<Swarm> {
    const swarm = new Swarm();
    try {
      await swarm.#make();
      return swarm;
    } catch (error) {
      await swarm.close();
      throw error;
    }
  }

  async #make(): Promise<void> {
    this.#fabric.bridge("fabric", "10.98.0.9/24");
    for (const number of [1, 2]) {
      const host = new Netns(`swarm${number}`);
      this.#hosts.push(host);
      this.#fabric.cable(`to-${number}`, host, "eth0", "fabric");
      host.address("eth0", `10.98.0.${number}/24`);
      host.route("default", "10.98.0.9");
      this.#daemons.push(await startDocker({ bridge: true, within: () => host.enter }));
    }
    const [first, second] = this.#daemons;
    first!.docker(["swarm", "init", "--advertise-addr", "10.98.0.1"]);
    const token = first!.docker(["swarm", "join-token", "-q", "worker"]).trim();
    second!.docker(["swarm", "join", "--advertise-addr", "10.98.0.2", "--token", token, "10.98.0.1:2377"]);
    first!.docker(["network", "create", "-d", "overlay", "--attachable", "--subnet", "10.97.0.0/24", "bench"]);
  }

  get members(): readonly [Member, Member] {
    const member = (at: number): Member => {
      const { cli, env } = this.#daemons[at]!;
      return { words: [cli], env, host: this.#hosts[at]! };
    };
    return [member(0), member(1)];
  }

  async close(): Promise<void> {
    for (const daemon of this.#daemons) await daemon.stop();
    for (const host of this.#hosts) host.close();
    this.#fabric.close();
  }
}
