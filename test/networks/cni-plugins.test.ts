/** What CNI plugins are told, and what becomes of what they do. Needs root. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, isAlive } from "../kit/engine.ts";
import { CniHost, printing, result } from "./cni-host.ts";

const failure = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it did not fail");
};

describe.skipIf(process.geteuid?.() !== 0)("CNI plugins", () => {
  let host: CniHost;
  beforeEach(() => {
    host = new CniHost();
  });
  afterEach(() => host.close());

  const PATH = () => `${join(host.base, "empty")}:${host.bin}`;

  test("ADD, CHECK and DEL: environment, configuration and results as the specification has them", async () => {
    const first = result("10.9.0.5/24", { extra: { kept: true } });
    const last = result("10.9.0.5/24", { dns: { nameservers: ["10.9.0.1"], domain: "one.test" } });
    host.plugin("main", printing(first));
    host.plugin("ports", printing(last));
    host.network({
      name: "web",
      plugins: [
        { type: "main", bridge: "x0", capabilities: { ips: true }, ipam: { type: "host-local" } },
        { type: "ports", capabilities: { portMappings: true, mac: false } },
      ],
    });
    const a = host.container("a");
    const place = { network: "cni:web", ipv4: "10.9.0.5", driverOptions: { "cni.arg.K": "v" } };
    const publish = [{ hostIp: "127.0.0.1", protocol: "tcp" as const, containerPort: 80, hostPort: 0, hostPortEnd: 0 }];
    const attached = await host.cni.attach(host.request(a, [place], publish));
    expect(attached).toMatchObject({ nameservers: ["10.9.0.1"], search: ["one.test"], options: [] });
    expect(attached.endpoints).toMatchObject([
      {
        networkName: "cni:web",
        attached: { interface: "eth0", ipv4: "10.9.0.5", ipv4PrefixLength: 24, mac: "02:00:00:00:00:05" },
      },
    ]);
    const [port] = host.cni.publishedBy("a");
    expect(port!.hostPort).toBeGreaterThan(0);
    const netns = join(host.run, "netns", "a");
    const env = (command: string) => ({
      ...{ CNI_COMMAND: command, CNI_CONTAINERID: "a", CNI_NETNS: netns, CNI_IFNAME: "eth0", CNI_ARGS: "K=v", CNI_PATH: PATH() },
    });
    const main = {
      type: "main",
      bridge: "x0",
      ipam: { type: "host-local" },
      cniVersion: "1.0.0",
      name: "web",
      runtimeConfig: { ips: ["10.9.0.5"] },
    };
    const mapping = { hostIP: "127.0.0.1", hostPort: port!.hostPort, containerPort: 80, protocol: "tcp" };
    const ports = { type: "ports", cniVersion: "1.0.0", name: "web", runtimeConfig: { portMappings: [mapping] } };
    expect(host.calls()).toEqual([
      { plugin: "main", env: env("ADD"), config: main },
      { plugin: "ports", env: env("ADD"), config: { ...ports, prevResult: first } },
    ]);
    expect(await host.cni.examine("cni:web")).toEqual([]);
    expect(host.calls()).toEqual([
      { plugin: "main", env: env("CHECK"), config: { ...main, prevResult: last } },
      { plugin: "ports", env: env("CHECK"), config: { ...ports, prevResult: last } },
    ]);
    // what it was made with counts, not what there is now
    host.network({ name: "web", plugins: [{ type: "other" }] });
    await host.cni.detach("a");
    await host.cni.detach("a");
    expect(host.calls()).toEqual([
      { plugin: "ports", env: env("DEL"), config: { ...ports, prevResult: last } },
      { plugin: "main", env: env("DEL"), config: { ...main, prevResult: last } },
    ]);
    expect(host.left()).toEqual([]);
    expect(host.cni.endpointsIn("cni:web")).toEqual([]);
  });

  test("several networks: interfaces in their order, DEL from the last", async () => {
    host.plugin("main", printing(result("10.9.0.5/24")));
    for (const name of ["x", "y"]) host.network({ name, plugins: [{ type: "main" }] });
    const a = host.container("a");
    await host.cni.attach(host.request(a, ["y", "x"]));
    await host.cni.detach("a");
    const seen = host.calls().map(({ env, config }) => [env.CNI_COMMAND, config.name, env.CNI_IFNAME].join(" "));
    expect(seen).toEqual(["ADD y eth0", "ADD x eth1", "DEL x eth1", "DEL y eth0"]);
  });

  test("what is asked for and no plugin takes is refused before one runs", async () => {
    host.plugin("main", printing(result("10.9.0.5/24")));
    host.network({ name: "web", plugins: [{ type: "main" }] });
    const publish = [{ hostIp: "", protocol: "tcp" as const, containerPort: 80, hostPort: 0, hostPortEnd: 0 }];
    const a = host.container("a");
    expect(await failure(host.cni.attach(host.request(a, ["web"], publish)))).toContain("capability portMappings");
    expect(await failure(host.cni.attach(host.request(a, ["web", "web"])))).toContain("in a network once");
    expect(await failure(host.cni.attach(host.request(a, ["none"])))).toContain('no CNI network "none"');
    expect(host.calls()).toEqual([]);
    expect(host.left()).toEqual([]);
  });

  test.each([
    ["garbage", "echo no json", "printed no result: ", 60_000],
    [
      "a result with a foreign address",
      `echo '{"ips":[{"address":"x"}]}'`,
      "is no address with the length of its prefix",
      60_000,
    ],
    ["nothing", "true", "printed no result", 60_000],
    ["100 MB", '[ "$CNI_COMMAND" = DEL ] || head -c 100000000 /dev/zero', "printed more than 1024 KiB and was killed", 60_000],
    ["exit code 3 and words", "echo out of luck >&2; exit 3", "ended with exit code 3: out of luck", 60_000],
    [
      "an error",
      `[ "$CNI_COMMAND" = DEL ] || { echo '{"code":7,"msg":"bad","details":"subnet"}'; exit 1; }`,
      "bad; subnet (code 7)",
      60_000,
    ],
    ["a signal", '[ "$CNI_COMMAND" = DEL ] || kill -9 $$', "ended with SIGKILL", 60_000],
    ["no end", '[ "$CNI_COMMAND" = DEL ] || sleep 300', "took more than 1 s and was killed", 1000],
  ])("%s of the second plugin: the container has nothing, DEL is called", async (_, body, why, timeout) => {
    host.plugin("main", printing(result("10.9.0.5/24")));
    host.plugin("second", `[ "$CNI_COMMAND" = DEL ] && exit 0\n${body}`);
    host.network({ name: "web", plugins: [{ type: "main" }, { type: "second" }] });
    const a = host.container("a");
    const cni = host.open(timeout);
    expect(await failure(cni.attach(host.request(a, ["web"])))).toContain(why);
    const calls = host.calls();
    expect(calls.map(({ plugin, env }) => `${env.CNI_COMMAND} ${plugin}`)).toEqual([
      "ADD main",
      "ADD second",
      "DEL second",
      "DEL main",
    ]);
    // there was no result of the whole
    expect(calls[2]!.config).not.toHaveProperty("prevResult");
    expect(calls[2]!.env.CNI_NETNS).toBe(calls[0]!.env.CNI_NETNS!);
    expect(host.left()).toEqual([]);
    expect(cni.endpointsOf("a", [{ network: "cni:web" }])).toMatchObject([{ attached: null }]);
  });

  test("its streams are pipes, and it has no descriptor more", async () => {
    const script = [
      "#!/bin/bash",
      `config=$(cat /dev/stdin); echo "$config" >> ${host.base}/config; ls /proc/$BASHPID/fd > ${host.base}/fds`,
      `echo told > /dev/stderr; [ $CNI_COMMAND != ADD ] || echo '${JSON.stringify(result("10.9.0.5/24"))}' > /dev/stdout`,
    ];
    writeFileSync(join(host.bin, "main"), script.join("\n"), { mode: 0o755 });
    host.network({ name: "web", plugins: [{ type: "main", large: "x".repeat(300_000) }] });
    await host.cni.attach(host.request(host.container("a"), ["web"]));
    expect(JSON.parse(readFileSync(join(host.base, "config"), "utf8")).large).toHaveLength(300_000);
    expect(host.log).toEqual(["CNI plugin main (ADD): told"]);
    // 255 is bash's own script
    expect(readFileSync(join(host.base, "fds"), "utf8").trim().split("\n")).toEqual(["0", "1", "2", "255"]);
    await host.cni.detach("a");
  });

  test("a plugin that reads nothing of a large configuration", async () => {
    const script = `#!/bin/sh\n[ $CNI_COMMAND != ADD ] || echo '${JSON.stringify(result("10.9.0.5/24"))}'\n`;
    writeFileSync(join(host.bin, "main"), script, { mode: 0o755 });
    host.network({ name: "web", plugins: [{ type: "main", large: "x".repeat(300_000) }] });
    const descriptors = () => readdirSync("/proc/self/fd").length;
    const before = descriptors();
    for (let round = 0; round < 5; round++) {
      await host.cni.attach(host.request(host.container(`a${round}`), ["web"]));
      await host.cni.detach(`a${round}`);
    }
    // each container of the test has a namespace and a socket in it
    expect(descriptors() - before).toBeLessThanOrEqual(10);
  });

  test("a plugin that hangs is killed with its children", async () => {
    host.plugin("main", `sleep 301 & echo $! > ${host.base}/child; wait`);
    host.network({ name: "web", plugins: [{ type: "main" }] });
    const a = host.container("a");
    const cni = host.open(500);
    expect(await failure(cni.attach(host.request(a, ["web"])))).toContain("took more than 0.5 s");
    const child = Number(readFileSync(join(host.base, "child"), "utf8"));
    await eventually("its child is gone", () => !isAlive(child));
  });

  test("a plugin whose child holds its output open does not keep the container", async () => {
    host.plugin("main", `${printing(result("10.9.0.5/24"))}\nsleep 302 & echo $! > ${host.base}/child`);
    host.network({ name: "web", plugins: [{ type: "main" }] });
    await host.cni.attach(host.request(host.container("a"), ["web"]));
    process.kill(Number(readFileSync(join(host.base, "child"), "utf8")), "SIGKILL");
    await host.cni.detach("a");
    process.kill(Number(readFileSync(join(host.base, "child"), "utf8")), "SIGKILL");
  });

  test("a plugin that is missing, or is no program", async () => {
    host.plugin("main", printing(result("10.9.0.5/24")));
    host.network({ name: "web", plugins: [{ type: "main" }, { type: "second" }] });
    const a = host.container("a");
    const searched = `CNI plugin second is not in ${join(host.base, "empty")}, ${host.bin}`;
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toContain(searched);
    host.plugin("second", "true");
    chmodSync(join(host.bin, "second"), 0o644);
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toContain(`${join(host.bin, "second")} is not executable`);
    expect(host.calls()).toEqual([]);
    writeFileSync(join(host.bin, "second"), "\x7fELF no program", { mode: 0o755 });
    chmodSync(join(host.bin, "second"), 0o755);
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toContain("cannot be run");
    host.plugin("second", "true");
    await host.cni.detach("a");
    expect(host.left()).toEqual([]);
  });

  test("results of older versions", async () => {
    host.plugin(
      "old",
      printing({ cniVersion: "0.2.0", ip4: { ip: "10.9.0.7/24", gateway: "10.9.0.1" }, dns: { nameservers: ["10.9.0.1"] } }),
    );
    host.plugin("pass", printing(result("10.9.0.7/24")));
    host.network({ name: "mixed", cniVersion: "0.4.0", plugins: [{ type: "old" }, { type: "pass" }] });
    host.network({ name: "oldest", cniVersion: "0.2.0", plugins: [{ type: "old" }] });
    const a = host.container("a");
    const { endpoints, nameservers } = await host.cni.attach(host.request(a, ["mixed"]));
    expect(endpoints).toMatchObject([{ attached: { ipv4: "10.9.0.7" } }]);
    expect(nameservers).toEqual([]);
    const [, second] = host.calls();
    expect(second!.config.prevResult).toMatchObject({
      cniVersion: "0.4.0",
      ips: [{ version: "4", address: "10.9.0.7/24", gateway: "10.9.0.1" }],
    });
    await host.cni.detach("a");
    expect(host.calls()[0]!.config.prevResult).toMatchObject({
      cniVersion: "0.4.0",
      ips: [{ version: "4", address: "10.9.0.7/24" }],
    });
    const old = await host.cni.attach(host.request(a, ["oldest"]));
    expect(old).toMatchObject({
      nameservers: ["10.9.0.1"],
      endpoints: [{ attached: { ipv4: "10.9.0.7", ipv4Gateway: "10.9.0.1" } }],
    });
    // CHECK came with 0.4.0, and so did the result that DEL is told
    expect(await host.cni.examine("cni:oldest")).toEqual([]);
    await host.cni.detach("a");
    const calls = host.calls();
    expect(calls.map(({ env }) => env.CNI_COMMAND)).toEqual(["ADD", "DEL"]);
    expect(calls[1]!.config).toEqual({ cniVersion: "0.2.0", name: "oldest", type: "old" });
  });

  test("a version that the plugin does not know is told with those that it knows", async () => {
    host.plugin(
      "main",
      `case "$CNI_COMMAND" in VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.3.1","0.4.0"]}';; ADD) echo '{"code":1,"msg":"incompatible CNI versions"}'; exit 1;; esac`,
    );
    host.network({ name: "web", plugins: [{ type: "main" }] });
    const said = await failure(host.cni.attach(host.request(host.container("a"), ["web"])));
    expect(said).toContain("incompatible CNI versions (code 1); the network has cniVersion 1.0.0, the plugin knows 0.3.1, 0.4.0");
    expect(host.commands()).toEqual(["ADD main", "VERSION main", "DEL main"]);
    expect(await host.cni.explain("cni:web")).toContain(`# main: ${join(host.bin, "main")}, knows 0.3.1, 0.4.0`);
  });

  test("of the versions a network is written for, the newest that all its plugins know", async () => {
    const knows = (...versions: string[]): string =>
      `[ $CNI_COMMAND != VERSION ] || echo '${JSON.stringify({ cniVersion: "1.1.0", supportedVersions: versions })}'`;
    host.plugin("new", `${knows("0.4.0", "1.0.0", "1.1.0")}\n${printing(result("10.9.0.5/24"))}`);
    host.plugin("older", `${knows("0.4.0", "1.0.0")}\n${printing(result("10.9.0.5/24"))}`);
    host.network({
      name: "web",
      cniVersion: "1.1.0",
      cniVersions: ["0.4.0", "1.0.0"],
      plugins: [{ type: "new" }, { type: "older" }],
    });
    await host.cni.attach(host.request(host.container("a"), ["web"]));
    await host.cni.detach("a");
    const seen = host.calls().filter(({ env }) => env.CNI_COMMAND !== "VERSION");
    expect(seen.map(({ plugin, env, config }) => `${env.CNI_COMMAND} ${plugin} ${config.cniVersion}`)).toEqual([
      ...["ADD new 1.0.0", "ADD older 1.0.0", "DEL older 1.0.0", "DEL new 1.0.0"],
    ]);
    expect(await host.cni.explain("cni:web")).toContain("cniVersion 1.0.0");
  });

  test("STATUS before ADD, from 1.1 on", async () => {
    const status = (code: number): string =>
      `[ "$CNI_COMMAND" != STATUS ] || { echo '{"code":${code},"msg":"no uplink"}'; exit 1; }`;
    host.plugin("main", `${printing(result("10.9.0.5/24", { cniVersion: "1.1.0" }))}\n${status(50)}`);
    host.network({ name: "web", cniVersion: "1.1.0", plugins: [{ type: "main" }] });
    const a = host.container("a");
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toBe(
      "network cni:web takes no containers now: CNI plugin main (STATUS): no uplink (code 50)",
    );
    expect(await host.cni.examine("cni:web")).toMatchObject([{ container: "", problem: expect.stringContaining("no uplink") }]);
    const [call] = host.calls();
    expect(call).toEqual({
      plugin: "main",
      env: { CNI_COMMAND: "STATUS", CNI_PATH: PATH() },
      config: { cniVersion: "1.1.0", name: "web", type: "main" },
    });
    host.plugin("main", `${printing(result("10.9.0.5/24", { cniVersion: "1.1.0" }))}\n${status(51)}`);
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toContain("may not reach all they should");
    // a plugin that does not know STATUS
    host.plugin("main", `${printing(result("10.9.0.5/24", { cniVersion: "1.1.0" }))}\n${status(4)}`);
    await host.cni.attach(host.request(a, ["web"]));
    await host.cni.detach("a");
    expect(host.left()).toEqual([]);
  });

  test("CHECK that fails is told by container; disableCheck keeps plugins from being asked", async () => {
    host.plugin(
      "main",
      `${printing(result("10.9.0.5/24"))}\n[ "$CNI_COMMAND" != CHECK ] || { echo '{"code":100,"msg":"route is gone"}'; exit 1; }`,
    );
    host.network({ name: "web", plugins: [{ type: "main" }] });
    host.network({ name: "quiet", disableCheck: true, plugins: [{ type: "main" }] });
    await host.cni.attach(host.request(host.container("a"), ["web", "quiet"]));
    expect(await host.cni.examine("cni:web")).toEqual([
      { container: "a", problem: "CNI plugin main (CHECK): route is gone (code 100)" },
    ]);
    expect(await host.cni.examine("cni:quiet")).toEqual([]);
    await host.cni.detach("a");
  });

  test("a DEL that fails is called again before the next ADD, and by the next engine", async () => {
    host.plugin("main", `${printing(result("10.9.0.5/24"))}\n[ "$CNI_COMMAND" != DEL ] || [ -e ${host.base}/well ]`);
    host.network({ name: "web", plugins: [{ type: "main" }] });
    const a = host.container("a");
    await host.cni.attach(host.request(a, ["web"]));
    expect(await failure(host.cni.detach("a"))).toContain(
      "taking container container-a out of its CNI networks: CNI plugin main (DEL) ended with exit code 1",
    );
    expect(host.left()).toEqual(["a.eth0.json"]);
    expect(await failure(host.cni.attach(host.request(a, ["web"])))).toContain("taking container container-a out");
    expect(host.commands()).toEqual(["ADD main", "DEL main", "DEL main"]);
    writeFileSync(join(host.base, "well"), "");
    await host.restart([]);
    const [call] = host.calls();
    expect(call!.env).toMatchObject({ CNI_COMMAND: "DEL", CNI_NETNS: "" });
    expect(call!.config).toHaveProperty("prevResult");
    expect(host.left()).toEqual([]);
  });

  test("after a start of the engine: DEL for those that are gone, then GC with those that run", async () => {
    host.plugin("main", printing(result("10.9.0.5/24", { cniVersion: "1.1.0" })));
    host.network({ name: "web", cniVersion: "1.1.0", plugins: [{ type: "main" }] });
    host.network({ name: "off", cniVersion: "1.1.0", disableGC: true, plugins: [{ type: "main" }] });
    host.network({ name: "old", cniVersion: "1.0.0", plugins: [{ type: "main" }] });
    await host.cni.attach(host.request(host.container("a"), ["web", "off"]));
    await host.cni.attach(host.request(host.container("b"), ["old", "web"]));
    await host.cni.attach(host.request(host.container("c"), ["web"]));
    host.calls();
    await host.restart(["a", "b"]);
    const calls = host.calls().filter(({ env }) => env.CNI_COMMAND !== "DEL" || env.CNI_CONTAINERID === "c");
    expect(calls.map(({ env, config }) => `${env.CNI_COMMAND} ${config.name}`).slice(0, 2)).toEqual(["DEL web", "GC web"]);
    const gc = calls.find(({ env }) => env.CNI_COMMAND === "GC")!;
    expect(gc.env).toEqual({ CNI_COMMAND: "GC", CNI_PATH: PATH() });
    expect(gc.config).toEqual({
      ...{ cniVersion: "1.1.0", name: "web", type: "main" },
      "cni.dev/valid-attachments": [
        { containerID: "a", ifname: "eth0" },
        { containerID: "b", ifname: "eth1" },
      ],
    });
    expect(host.cni.endpointsIn("cni:web")).toHaveLength(2);
    await host.cni.detach("a");
    await host.cni.detach("b");
    expect(host.left()).toEqual([]);
  });

  test("what cannot be read of what is recorded is left and said", async () => {
    host.plugin("main", printing(result("10.9.0.5/24")));
    host.network({ name: "web", plugins: [{ type: "main" }] });
    await host.cni.attach(host.request(host.container("a"), ["web"]));
    writeFileSync(join(host.directory, "b.eth0.json"), '{"container":"b"}');
    writeFileSync(join(host.directory, "c.eth0.json.new"), "half");
    await (await host.restart(["a"])).detach("a");
    expect(host.log.join()).toContain("b.eth0.json cannot be read");
    expect(host.left()).toEqual(["b.eth0.json"]);
  });
});
