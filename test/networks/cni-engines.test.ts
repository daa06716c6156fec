/** One engine's containers in another engine's network, and in its own: onggi on both sides of CNI. As root. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { httpGet, httpServer, PLUGIN } from "../kit/cni.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { freePort } from "../kit/registry.ts";

let guest: Engine;
let host: Engine;
const place = mkdtempSync(join(tmpdir(), "onggi-cni-engines-"));
const inNetwork = (): Promise<string> =>
  host.ok(["network", "inspect", "-f", "{{range $id, $_ := .Containers}}{{$id}} {{end}}", "web"]);

describe.skipIf(process.geteuid?.() !== 0)("containers of an engine", () => {
  beforeAll(async () => {
    const [plugins, configurations] = [join(place, "bin"), join(place, "net.d")];
    for (const directory of [plugins, configurations]) mkdirSync(directory);
    symlinkSync(PLUGIN, join(plugins, "onggi-cni"));
    host = startEngine();
    guest = startEngine({ env: { ONGGI_CNI_CONFIG_DIR: configurations, ONGGI_CNI_BIN_DIR: plugins } });
    for (const engine of [host, guest]) await bootstrapBusybox(engine);
    const capabilities = { portMappings: true, ips: true, mac: true, aliases: true, dns: true, bandwidth: true };
    const configure = (name: string, engine: Engine): void => {
      const plugin = { type: "onggi-cni", network: "web", socket: join(engine.run, "onggi.sock"), capabilities };
      writeFileSync(join(configurations, `${name}.conflist`), JSON.stringify({ cniVersion: "1.1.0", name, plugins: [plugin] }));
    };
    configure("other", host);
    configure("own", guest);
    await host.ok(["network", "create", "--subnet", "10.188.0.0/24", "web"]);
    await guest.ok(["network", "create", "--subnet", "10.189.0.0/24", "web"]);
    await host.ok(["run", "-d", "--name", "peer", "--network", "web", "busybox", ...httpServer("from-peer")]);
    await guest.ok(["run", "-d", "--name", "peer", "--network", "web", "busybox", ...httpServer("from-own")]);
  }, 120_000);

  afterAll(async () => {
    for (const engine of [guest, host]) {
      await engine.ok(["rm", "-f", "peer"]);
      await engine.ok(["network", "rm", "web"]);
      await engine.close();
    }
    rmSync(place, { recursive: true });
  }, 60_000);

  test("in another engine's network: names, a port, and nothing stays", async () => {
    const port = await freePort();
    const flags = ["--network", "cni:other", "--network-alias", "www", "-p", `127.0.0.1:${port}:80`];
    const id = await guest.ok(["run", "-d", ...flags, "busybox", ...httpServer("from-guest")]);
    expect(await inNetwork()).toContain(`cni-${id}`);
    expect(await guest.ok(["exec", id, "sh", "-c", httpGet("peer")])).toBe("from-peer");
    expect(await host.ok(["exec", "peer", "sh", "-c", httpGet("www")])).toBe("from-guest");
    expect(await host.ok(["exec", "peer", "sh", "-c", httpGet(id.slice(0, 12))])).toBe("from-guest");
    expect((await (await fetch(`http://127.0.0.1:${port}/`)).text()).trim()).toBe("from-guest");
    expect(await guest.ok(["network", "inspect", "--check", "cni:other"])).toContain(id);
    await guest.ok(["rm", "-f", id]);
    expect(await inNetwork()).not.toContain("cni-");
  });

  test("both engines are killed, and go on with it", async () => {
    const id = await guest.ok([
      "run",
      "-d",
      "--network",
      "cni:other",
      "--network-alias",
      "lasting",
      "busybox",
      ...httpServer("lasting"),
    ]);
    await Promise.all([host.murder(), guest.murder()]);
    await Promise.all([host.pid(), guest.pid()]);
    expect(await host.ok(["exec", "peer", "sh", "-c", httpGet("lasting")])).toBe("lasting");
    await guest.ok(["rm", "-f", id]);
    expect(await inNetwork()).not.toContain("cni-");
  });

  test("without that engine a container does not start, and says why", async () => {
    await host.ok(["engine", "stop"]);
    const { code, stderr } = await guest.onggi(["run", "--rm", "--network", "cni:other", "busybox", "true"]);
    expect(code).not.toBe(0);
    expect(stderr).toContain("no engine answers");
    await host.pid();
  });

  test("in a network of the engine itself", async () => {
    expect(await guest.ok(["run", "--rm", "--network", "cni:own", "busybox", "sh", "-c", httpGet("peer")])).toBe("from-own");
  });
});
