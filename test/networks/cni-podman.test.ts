/** Containers of podman, with its CNI backend, in a network of a real engine. As root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { httpGet, httpServer } from "../kit/cni.ts";
import { type Engine, eventually, onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxArchive } from "../kit/images.ts";
import { makePodman, type Podman, podmanUnavailable } from "../kit/podman.ts";
import { freePort } from "../kit/registry.ts";
import { skipLoudly } from "../kit/skip.ts";

const IMAGE = "onggi-test/busybox";
const reason = podmanUnavailable();
if (reason) skipLoudly(`the CNI plugin under podman: ${reason}`);

let engine: Engine;
let podman: Podman;
const guests = async (): Promise<string> =>
  engine.ok(["network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{end}}", "web"]);

describe.skipIf(reason !== null)("podman's containers", () => {
  beforeAll(async () => {
    engine = startEngine();
    await bootstrapBusybox(engine);
    await engine.ok(["network", "create", "--subnet", "10.183.0.0/24", "web"]);
    await engine.ok(["run", "-d", "--name", "peer", "--network", "web", "busybox", ...httpServer("from-onggi")]);
    podman = makePodman("/usr/bin/runc", (base) => {
      const [plugins, networks] = [base.at("plugins"), base.at("networks")];
      for (const directory of [plugins, networks]) mkdirSync(directory);
      symlinkSync(onggiCommand[0]!, join(plugins, "onggi-cni"));
      const capabilities = { portMappings: true, ips: true, mac: true, aliases: true };
      const plugin = { type: "onggi-cni", network: "web", socket: join(engine.run, "onggi.sock"), capabilities };
      const list = { cniVersion: "0.4.0", name: "onggi", plugins: [plugin] };
      writeFileSync(join(networks, "onggi.conflist"), JSON.stringify(list));
      const words = [
        `network_backend = "cni"`,
        `cni_plugin_dirs = ["${plugins}", "/usr/lib/cni"]`,
        `network_config_dir = "${networks}"`,
      ];
      return `[network]\n${words.join("\n")}\n`;
    });
    await podman.client.ok(["load", "-q", "-i", busyboxArchive()]);
  }, 120_000);

  afterAll(async () => {
    await podman?.close();
    await engine.ok(["rm", "-f", "peer"]);
    await engine.ok(["network", "rm", "web"]);
    await engine.close();
  }, 60_000);

  const flags = (): string[] => ["--network", "onggi", "--cgroup-parent", podman.base.group];

  test("are in the network: names both ways, ports of the host, and nothing stays", async () => {
    const port = await freePort();
    const id = await podman.client.ok([
      ...["run", "-d", ...flags(), "--name", "web1", "--network-alias", "www", "-p", `127.0.0.1:${port}:80`, IMAGE],
      ...httpServer("from-podman"),
    ]);
    expect(await guests()).toContain("web1");
    expect(await podman.client.ok(["exec", id, "cat", "/etc/resolv.conf"])).toContain("nameserver 127.0.0.11");
    expect(await podman.client.ok(["exec", id, "sh", "-c", httpGet("peer")])).toBe("from-onggi");
    expect(await engine.ok(["exec", "peer", "sh", "-c", httpGet("web1")])).toBe("from-podman");
    expect(await engine.ok(["exec", "peer", "sh", "-c", httpGet("www")])).toBe("from-podman");
    await eventually("the port answers", async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/`).catch(() => null);
      return (await answer?.text())?.trim() === "from-podman";
    });
    await podman.client.ok(["rm", "-f", "-t", "0", id]);
    expect(await guests()).toBe("peer ");
  });

  test("see each other, and get what is asked for", async () => {
    const address = await podman.client.ok([
      ...["run", "--rm", ...flags(), "--ip", "10.183.0.50", "--mac-address", "02:00:00:00:00:50", IMAGE],
      ...["sh", "-c", "ip -o addr show eth0; cat /sys/class/net/eth0/address; ip route"],
    ]);
    expect(address).toContain("10.183.0.50/24");
    expect(address).toContain("02:00:00:00:00:50");
    expect(address).toContain("default via 10.183.0.1");
    expect(await guests()).toBe("peer ");
  });

  test("live through the engine's death", async () => {
    const id = await podman.client.ok(["run", "-d", ...flags(), "--name", "web2", IMAGE, ...httpServer("still-there")]);
    await engine.murder();
    expect(await podman.client.ok(["exec", id, "sh", "-c", httpGet("peer")])).toBe("from-onggi");
    await engine.pid();
    expect(await engine.ok(["exec", "peer", "sh", "-c", httpGet("web2")])).toBe("still-there");
    await podman.client.ok(["rm", "-f", "-t", "0", id]);
    expect(await guests()).toBe("peer ");
  });

  test("leave nothing", () => podman.expectNothingLeft(), 60_000);
});
