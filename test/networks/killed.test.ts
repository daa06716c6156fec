/** An engine that is killed at any moment of its work with networks leaves nothing that the next does not take away. Needs root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ROUNDS } from "../kit/bundle.ts";
import { seededRandom } from "../kit/random.ts";
import { NetworksHost, publication, TAG, until } from "./networks-host.ts";

const rounds = 2 * ROUNDS;

describe.skipIf(process.geteuid?.() !== 0)("engines killed", () => {
  let host: NetworksHost;
  beforeAll(async () => {
    host = new NetworksHost();
    await host.networks.create({ name: "kept", pools: [{ subnet: "10.95.0.0/29" }] });
  });
  afterAll(() => host.close());

  async function killOne(after: number): Promise<void> {
    await host.networks.close();
    const child = Bun.spawn([process.execPath, `${import.meta.dir}/attach-child.ts`, host.root, TAG], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await child.stdout.getReader().read();
    expect(new TextDecoder().decode(value)).toBe("ready\n");
    await Bun.sleep(after);
    child.kill("SIGKILL");
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    host.networks = host.open();
    await host.networks.reconcile([]);
    await host.networks.idle();
  }

  test(
    `${rounds} times: no link, address, port or rule is left`,
    async () => {
      const random = seededRandom("networks killed");
      for (let round = 0; round < rounds; round++) {
        await killOne(random() * 60);
        await until("no cable is left", () => host.cables().length === 0);
        const { networks } = host;
        const bridges = networks.list().filter(({ driver }) => driver === "bridge");
        const there = host.links().filter(({ kind }) => kind === "bridge");
        expect(there.map(({ name }) => name).sort()).toEqual(
          bridges
            .filter(({ predefined }) => !predefined)
            .map((network) => network.interface)
            .sort(),
        );
        for (const { name, subnet } of bridges.flatMap(({ name, pools }) => pools.map(({ subnet }) => ({ name, subnet })))) {
          expect(
            bridges.filter(({ pools }) => pools.some((pool) => pool.subnet === subnet)).map((network) => network.name),
          ).toEqual([name]);
        }
        const left = bridges.flatMap(({ id }) => networks.endpointsIn(id));
        expect(left.filter(({ attached }) => attached !== null)).toEqual([]);
        for (const { container } of left) await networks.forget(container);
      }
      const rules = await host.netns.output("nft", "list", "table", "inet", `onggi_${TAG}`);
      expect(rules).not.toContain(" : 10.95.0.");
      // All five addresses of the network that was kept are free, and all ports.
      const ports = Array.from({ length: 49 }, (_, index) => index + 1);
      for (const round of [0, 1, 2, 3, 4]) {
        const publish = ports
          .filter((port) => port % 5 === round)
          .map((port) => publication(port, 9000 + port, { protocol: port % 2 === 0 ? "tcp" : "udp" }));
        const container = await host.start(["kept"], publish);
        expect(host.networks.publishedBy(container.id)).toHaveLength(publish.length);
      }
    },
    rounds * 5000,
  );
});
