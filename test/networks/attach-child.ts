/** Run by killed.test.ts: an engine's networks with the root and tag that it is told, which does all that can be done until it is killed. */
import { openNetworks, type Publication } from "../../src/networks/index.ts";
import { Netns } from "../kit/netns.ts";

const [root, tag] = process.argv.slice(2) as [string, string];
const networks = openNetworks({ root, tag, log: () => {} });
await networks.reconcile([]);
process.stdout.write("ready\n");

const port = (containerPort: number): Publication => ({
  protocol: containerPort % 2 === 0 ? "tcp" : "udp",
  containerPort,
  hostIp: "0.0.0.0",
  hostPort: 9000 + containerPort,
  hostPortEnd: 9000 + containerPort,
});

for (let round = 0; ; round++) {
  const container = round.toString(16).padStart(64, "0");
  const netns = new Netns("container");
  const sandbox = { container, netns: netns.fd };
  const name = `made${round % 3}`;
  networks.connect({ network: "kept", container, transient: round % 4 !== 0 });
  await networks.attach(
    sandbox,
    [port(round % 50), port((round + 1) % 50)].filter(({ containerPort }) => containerPort > 0),
  );
  if (networks.list().every((network) => network.name !== name)) await networks.create({ name, ipv6: round % 2 === 0 });
  networks.connect({ network: name, container, transient: true, gatewayPriority: 1 });
  await networks.attachOne(sandbox, name);
  if (round % 2 === 0) await networks.disconnect(container, name, sandbox);
  else await networks.detach(container);
  await networks.forget(container);
  if (round % 5 === 4) await networks.remove(name);
  netns.close();
}
