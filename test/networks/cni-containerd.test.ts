/**
 * containerd's client with `--cni` (go-cni, libcni) in a network of a real engine. It looks for plugins and configurations in /opt/cni
 * and /etc/cni only, so it runs in a mount namespace where these are the test's own. As root.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CniPlugin, httpGet, httpServer, PLUGIN } from "../kit/cni.ts";
import { CommandLine } from "../kit/command.ts";
import { type Containerd, containerdUnavailable, startContainerd } from "../kit/containerd.ts";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, busyboxArchive } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const IMAGE = "docker.io/onggi-test/busybox:latest";
const places = ["/opt", "/etc/cni/net.d"].find((path) => !existsSync(path));
const reason = containerdUnavailable() ?? (places === undefined ? null : `there is no ${places}`);
if (reason) skipLoudly(`the CNI plugin under containerd: ${reason}`);

/** Runs the words after it where /opt/cni/bin and /etc/cni/net.d are those two directories. */
const elsewhere = (plugins: string, configurations: string): string[] => [
  ...["unshare", "-m", "sh", "-ec"],
  `mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni; ln -s ${plugins} /opt/cni/bin; mount --bind ${configurations} /etc/cni/net.d; exec "$@"`,
  "sh",
];

let engine: Engine;
let containerd: Containerd;
let ctr: CommandLine;
const guests = (): Promise<string> =>
  engine.ok(["network", "inspect", "-f", "{{range $id, $_ := .Containers}}{{$id}} {{end}}", "web"]);

describe.skipIf(reason !== null)("containerd's containers", () => {
  beforeAll(async () => {
    engine = startEngine();
    await bootstrapBusybox(engine);
    await engine.ok(["network", "create", "--subnet", "10.184.0.0/24", "web"]);
    await engine.ok(["run", "-d", "--name", "peer", "--network", "web", "busybox", ...httpServer("from-onggi")]);
    containerd = await startContainerd("/usr/bin/runc");
    const [plugins, configurations] = [containerd.base.at("plugins"), containerd.base.at("configurations")];
    for (const directory of [plugins, configurations]) mkdirSync(directory);
    symlinkSync(PLUGIN, join(plugins, "onggi-cni"));
    symlinkSync("/usr/lib/cni/loopback", join(plugins, "loopback"));
    const plugin = { type: "onggi-cni", network: "web", socket: join(engine.run, "onggi.sock") };
    writeFileSync(join(configurations, "10.conflist"), JSON.stringify({ cniVersion: "1.0.0", name: "onggi", plugins: [plugin] }));
    const words = ["/usr/bin/ctr", "--address", containerd.base.at("sock")];
    ctr = new CommandLine([...elsewhere(plugins, configurations), ...words], { cwd: containerd.base.path });
    await ctr.ok(["images", "import", "--snapshotter", "native", busyboxArchive()], { timeout: 60_000 });
  }, 120_000);

  afterAll(async () => {
    await containerd?.stop();
    await engine.ok(["rm", "-f", "peer"]);
    await engine.ok(["network", "rm", "web"]);
    await engine.close();
  }, 60_000);

  const run = (id: string, flags: readonly string[], ...command: string[]): Promise<string> =>
    ctr.ok(["run", "--cni", "--snapshotter", "native", ...containerd.runFlags(id), ...flags, IMAGE, id, ...command]);

  test("reach the engine's, and are reached, until they are removed", async () => {
    expect(await run("c1", ["--rm"], "sh", "-c", httpGet("$(nslookup peer 127.0.0.11 | grep -o '10.184.0.[0-9]*')"))).toBe(
      "from-onggi",
    );
    expect(await guests()).not.toContain("cni-");
    await run("c2", ["-d"], ...httpServer("from-containerd"));
    const [, id = ""] = /(cni-\S+)/.exec(await guests()) ?? [];
    expect(await engine.ok(["exec", "peer", "sh", "-c", httpGet(id.slice(4))])).toBe("from-containerd");
    await ctr.ok(["tasks", "kill", "-s", "SIGKILL", "c2"]);
    await eventually("it has ended", async () => (await ctr.ok(["tasks", "ls"])).includes("STOPPED"));
    await ctr.ok(["tasks", "rm", "c2"]);
    await ctr.ok(["containers", "rm", "c2"]);
    // ctr says no DEL for what runs in the background: the namespace has gone with the process
    expect(await guests()).toContain(id);
    const cni = new CniPlugin(engine, { name: "onggi", network: "web" });
    await cni.ok("GC", { id: "", netns: "" }, { "cni.dev/valid-attachments": [{ containerID: id.slice(4), ifname: "eth0" }] });
    expect(await guests()).not.toContain("cni-");
  });
});
