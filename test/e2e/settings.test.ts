/** What engine.toml says reaches containers, networks and Docker's API; a running engine reads it anew. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { daemonKeys } from "../../src/cli/daemon-keys.ts";
import { askDocker } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

let engine: Engine;
let file: string;

const settings = (debug: string, more = ""): string => `${debug}
labels = ["rack=7"]
group = "65534"
default-ulimits = { nofile = { soft = 1000, hard = 2000 } }
default-shm-size = "1m"
init = true
no-new-privileges = true
dns = ["192.0.2.53"]
dns-search = ["example.org"]
dns-opts = ["ndots:2"]
host-gateway-ip = "192.0.2.1"
default-address-pools = [{ base = "10.213.0.0/16", size = 24 }]
bip = "10.214.7.1/24"
fixed-cidr = "10.214.7.128/25"
mtu = 1400
icc = false
ip = "127.0.0.1"
insecure-registries = ["r.example:5000", "10.0.0.0/8"]
registry-mirrors = ["https://mirror.example"]
log-opts = { max-size = "1m", max-file = "2" }
[proxies]
https-proxy = "http://me:secret@proxy.example:3128"
[default-network-opts.bridge]
"com.docker.network.driver.mtu" = "1300"
${more}`;

beforeAll(async () => {
  engine = startEngine();
  file = join(engine.base, "engine.toml");
  writeFileSync(file, settings("debug = true"));
  await engine.ok(["engine", "start", "--config", file]);
  await bootstrapBusybox(engine);
}, 60_000);
afterAll(() => engine.close(), 60_000);

/** What dockerd's command line has under another name than its file, or has no key for. */
const flagNames: Readonly<Record<string, string | null>> = {
  ...{
    "add-runtime": "runtimes",
    feature: "features",
    "insecure-registry": "insecure-registries",
    host: "hosts",
    label: "labels",
  },
  ...{ "http-proxy": "proxies", "https-proxy": "proxies", "no-proxy": "proxies" },
  ...{ "containerd-plugins-namespace": "containerd-plugin-namespace" },
  ...{ "config-file": null, validate: null, version: null, help: null },
};

test("every flag of the dockerd that is here is a key that is known", () => {
  if (!Bun.which("dockerd")) return skipLoudly("dockerd is not installed");
  const help = Bun.spawnSync(["dockerd", "--help"]).stdout.toString();
  const flags = [...help.matchAll(/^ {2,6}(?:-\w, )?--([a-z0-9-]+)/gm)].map(([, name = ""]) => name);
  expect(flags.length).toBeGreaterThan(60);
  const keyOf = (flag: string): string | null =>
    flag in flagNames ? flagNames[flag]! : (["", "s"].map((end) => flag + end).find((name) => name in daemonKeys) ?? flag);
  expect(flags.map(keyOf).filter((key) => key !== null && !(key in daemonKeys))).toEqual([]);
});

const run = (...words: string[]): Promise<string> => engine.ok(["run", "--rm", ...words]);

test("containers are made with the defaults, and with what they ask for instead", async () => {
  const script =
    "ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -n1 | tr -s ' ' | cut -d' ' -f2; grep NoNewPrivs /proc/self/status; cat /proc/1/comm; true";
  expect((await run("busybox", "sh", "-c", script)).split("\n")).toEqual([
    "1000",
    "2000",
    "1024",
    "NoNewPrivs:\t1",
    "docker-init",
  ]);
  const asked = ["--ulimit", "nofile=50:60", "--shm-size", "2m", "--security-opt", "no-new-privileges=false", "--init=false"];
  expect((await run(...asked, "busybox", "sh", "-c", script)).split("\n")).toEqual(["50", "60", "2048", "NoNewPrivs:\t0", "sh"]);
});

test("names, addresses and the MTU are those that are written", async () => {
  const script = "cat /etc/resolv.conf; grep gw /etc/hosts; ip -o -4 addr show eth0; cat /sys/class/net/eth0/mtu";
  const text = await run("--add-host", "gw:host-gateway", "busybox", "sh", "-c", script);
  expect(text).toContain("nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n192.0.2.1\tgw\n");
  expect(text).toMatch(/inet 10\.214\.7\.(?:12[89]|1[3-9]\d|2\d\d)\/24 [\s\S]*\n1400$/);
  await engine.ok(["network", "create", "own"]);
  const network = JSON.parse(await engine.ok(["network", "inspect", "own"]))[0];
  expect(network.IPAM.Config[0].Subnet).toBe("10.213.0.0/24");
  expect(network.Options).toEqual({ "com.docker.network.driver.mtu": "1300" });
  await engine.ok(["network", "rm", "own"]);
});

test("ports of the default network are published where ip says", async () => {
  await engine.ok(["run", "-d", "--name", "p", "-p", "80", "busybox", "sleep", "60"]);
  expect(await engine.ok(["port", "p"])).toMatch(/^80\/tcp -> 127\.0\.0\.1:\d+$/m);
  const container = (await engine.inspect("p")) as never as { HostConfig: { LogConfig: object } };
  const bridge = JSON.parse(await engine.ok(["network", "inspect", "bridge"]))[0];
  const prefix = "com.docker.network.bridge";
  expect(bridge.Options).toMatchObject({ [`${prefix}.enable_icc`]: "false", [`${prefix}.host_binding_ipv4`]: "127.0.0.1" });
  expect(await engine.ok(["engine", "config"])).not.toContain("secret");
  expect(container.HostConfig.LogConfig).toEqual({ Type: "json-file", Config: { "max-size": "1m", "max-file": "2" } });
  await engine.ok(["rm", "-f", "p"]);
});

test("info of Docker's API tells them", async () => {
  const { value } = await askDocker<Record<string, unknown>>(engine, "GET", "/info");
  expect(value).toMatchObject({
    ...{ Debug: true, Labels: ["rack=7"], LoggingDriver: "json-file", LiveRestoreEnabled: true },
    HttpsProxy: "http://xxxxx:xxxxx@proxy.example:3128",
    DefaultAddressPools: [{ Base: "10.213.0.0/16", Size: 24 }],
    RegistryConfig: {
      InsecureRegistryCIDRs: ["10.0.0.0/8", "::1/128", "127.0.0.0/8"],
      Mirrors: ["https://mirror.example"],
      IndexConfigs: { "r.example:5000": { Secure: false }, "docker.io": { Mirrors: ["https://mirror.example"], Secure: true } },
    },
  });
  expect(value.SecurityOptions).toContain("name=no-new-privileges");
  expect(await engine.ok(["engine", "logs"])).toContain("GET /info 200");
  expect(Bun.spawnSync(["stat", "-c", "%g %a", `${engine.run}/docker.sock`]).stdout.toString()).toBe("65534 660\n");
});

const changed = (): Promise<string> => engine.ok(["engine", "config", "--format", "{{.Name}} {{.Value}} {{.Pending}}"]);

test("reload: what can change does, what cannot waits, and Docker's clients hear of it", async () => {
  const since = `${Date.now() / 1000}`;
  writeFileSync(
    file,
    settings("debug = false", '[runtimes]\nmine = "/bin/true"\n').replace("mtu = 1400", "mtu = 1401").replace("1000", "1500"),
  );
  expect(await changed()).toContain("debug true false (reload)");
  process.kill(await engine.pid(), "SIGHUP");
  const until = (Date.now() / 1000 + 20).toFixed(3);
  const events = engine.spawn([
    "events",
    "--since",
    since,
    "--until",
    until,
    "--filter",
    "type=daemon",
    "--filter",
    "event=reload",
  ]);
  for (const word of ["daemon", "reload", "labels=rack=7", "mtu=1400"]) await events.until(word);
  events.process.kill("SIGTERM");
  await events.done;
  const now = await changed();
  expect(now).toContain("debug false \n");
  expect(now).toContain("mtu 1400 1401 (restart)");
  expect(now).toContain("runtimes.mine /bin/true ");
  expect(await run("busybox", "sh", "-c", "ulimit -Sn")).toBe("1500");
  const again = await engine.onggi(["engine", "reload"]);
  expect([again.stdout, again.stderr]).toEqual([
    "nothing has changed\n",
    "for the next engine (onggi engine stop, then start): mtu\n",
  ]);
});

test("a reload brings other defaults to new containers, and to them alone", async () => {
  await engine.ok(["run", "-d", "--name", "old", "busybox", "sleep", "100"]);
  const more = [
    ...['log-driver = "local"', 'default-cgroupns-mode = "host"'],
    ...['default-ipc-mode = "shareable"', 'seccomp-profile = "unconfined"', "max-concurrent-downloads = 1"],
  ];
  writeFileSync(file, settings(more.join("\n")).replace('max-file = "2"', 'max-file = "3"'));
  expect(await engine.ok(["engine", "reload"])).toStartWith("changed: ");
  await engine.ok(["run", "-d", "--name", "new", "busybox", "sleep", "100"]);
  const hostOf = async (name: string) => ((await engine.inspect(name)) as never as { HostConfig: object }).HostConfig;
  const wanted = { LogConfig: { Type: "local", Config: { "max-size": "1m", "max-file": "3" } }, IpcMode: "shareable" };
  expect(await hostOf("new")).toMatchObject({ ...wanted, CgroupnsMode: "host" });
  expect(await hostOf("old")).toMatchObject({ LogConfig: { Type: "json-file" }, IpcMode: "private", CgroupnsMode: "private" });
  expect((await engine.ok(["exec", "new", "grep", "Seccomp:", "/proc/self/status"])).trim()).toBe("Seccomp:\t0");
  expect((await engine.ok(["exec", "old", "grep", "Seccomp:", "/proc/self/status"])).trim()).toBe("Seccomp:\t2");
  await engine.ok(["rm", "-f", "old", "new"]);
}, 30_000);

test("a file that is wrong changes nothing, and is said", async () => {
  for (const [more, message] of [
    ["dns = 3", `${file}: line`],
    ['[runtimes]\nmine = "/nowhere"', "/nowhere: no such file"],
  ] as const) {
    writeFileSync(
      file,
      more.startsWith("[") ? settings("debug = true", more) : settings("debug = true").replace("dns = [", `${more}\n#`),
    );
    const { code, stderr } = await engine.onggi(["engine", "reload"]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)]);
    expect(await changed()).toContain("debug false");
  }
  writeFileSync(file, '\nlog-driver = "syslog"\n[log-opts]\nsyslog-address = "carrier pigeon"\n');
  const { code, stderr } = await engine.onggi(["engine", "config", "--validate", "--config", file]);
  expect([code, stderr]).toEqual([1, expect.stringContaining(`${file}: line 3: "log-opts": syslog-address should be in form`)]);
  process.kill(await engine.pid(), "SIGHUP");
  const report = await engine.onggi(["engine", "config"]);
  expect(report.stderr).toContain("what is written cannot be had: ");
  rmSync(file);
  writeFileSync(file, "");
  expect(await engine.ok(["engine", "config", "--validate", "--config", file])).toBe("configuration OK");
});
