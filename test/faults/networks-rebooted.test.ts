/**
 * The host is restarted: whatever ran was killed at once, its network namespace, mounts and /run are gone, and the boot id is another one.
 * Networks, rules and fixed addresses come back with the engine, and containers with `--restart always` by themselves.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { PrivateBase } from "../kit/base.ts";
import { type Engine, eventually, gone, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { findLeaks, snapshot } from "../kit/leaks.ts";
import { ask, Netns, tryTcp } from "../kit/netns.ts";
import { expectTruth, inspectAll, portsInRules } from "../kit/network-truth.ts";
import { otherBoot } from "../kit/records.ts";

const SERVER = ["busybox", "nc", "-ll", "-p", "80", "-e", "hostname"];

/** Of two hosts, as namespaces cannot be made anew: before and after. */
const hosts = [new Netns("before"), new Netns("after")] as const;
const before = snapshot();
const base = new PrivateBase("rebooted");
/** Where the host's namespace is to be found. */
const netns = base.at("netns");
let engine: Engine;

function boot(host: Netns): void {
  rmSync(netns, { force: true });
  symlinkSync(`/proc/${process.pid}/fd/${host.fd}`, netns);
}

beforeAll(async () => {
  boot(hosts[0]);
  const under = ["/usr/bin/nsenter", `--net=${netns}`, "/usr/bin/unshare", "--mount", "--"];
  engine = startEngine({ base: base.path, under });
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  await engine.close();
  for (const host of hosts) host.close();
  base.remove();
}, 60_000);

/** All of the engine's at once, the engine first: nobody is there to see the others go. */
async function powerCut(): Promise<void> {
  const pids = findLeaks(engine.base, before).processes.map((line) => Number(line.split(" ")[0]));
  const first = await engine.pid();
  for (const pid of [first, ...pids]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // with its namespace's first process
    }
  }
  for (const pid of pids) await gone(pid);
  rmSync(join(engine.base, "run"), { recursive: true, force: true });
  otherBoot(engine);
}

const run = (name: string, ...words: string[]) => engine.ok(["run", "-d", "--name", name, "-h", name, ...words, ...SERVER]);

test("networks, rules, addresses; --restart always; what can be started again", async () => {
  await engine.ok(["network", "create", "--subnet", "10.95.0.0/24", "--ipv6", "--subnet", "fd00:95::/64", "web"]);
  await engine.ok(["network", "create", "--internal", "back"]);
  await run("comes", "--restart", "always", "--network", "name=web,ip=10.95.0.77", "--network", "back", "-p", "8080:80");
  await run("stays", "--network", "name=web,ip=10.95.0.78", "-p", "8081:80");
  await run("default", "--restart", "always", "-p", "8082:80");
  await expectTruth(engine, hosts[0]);
  const networks = await engine.ok(["network", "ls", "--no-trunc"]);
  const subnets = await engine.ok(["network", "inspect", "-f", "{{json .IPAM}}", "web", "back"]);

  await powerCut();
  boot(hosts[1]);

  expect(await engine.ok(["network", "ls", "--no-trunc"])).toBe(networks);
  expect(await engine.ok(["network", "inspect", "-f", "{{json .IPAM}}", "web", "back"])).toBe(subnets);
  const status = async (name: string) => (await inspectAll(engine)).find(({ Name }) => Name === `/${name}`)!.State.Status;
  for (const name of ["comes", "default"]) await eventually(`${name} runs`, async () => (await status(name)) === "running");
  expect(await status("stays")).toBe("dead");
  await expectTruth(engine, hosts[1]);
  expect(await ask(hosts[1], "127.0.0.1", 8080)).toBe("comes");
  expect(await ask(hosts[1], "127.0.0.1", 8082)).toBe("default");
  expect(await tryTcp(hosts[1], "127.0.0.1", 8081)).toBe("refused");
  expect(await portsInRules(engine, hosts[1])).toEqual(["tcp . 8080", "tcp . 8082"]);

  await engine.ok(["start", "stays"]);
  const all = await expectTruth(engine, hosts[1]);
  expect(await ask(hosts[1], "127.0.0.1", 8081)).toBe("stays");
  const addressOf = (name: string) => all.find(({ Name }) => Name === `/${name}`)!.NetworkSettings.Networks.web!.IPAddress;
  expect([addressOf("comes"), addressOf("stays")]).toEqual(["10.95.0.77", "10.95.0.78"]);
  expect(await ask(hosts[1], "10.95.0.77", 80)).toBe("comes");
}, 60_000);
