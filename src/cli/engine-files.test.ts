import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { daemonKeys } from "./daemon-keys.ts";
import { configurationOf } from "./engine-configuration.ts";
import { readDaemonJson, readEngineConfig } from "./engine-files.ts";
import { keys, names } from "./engine-keys.ts";
import { engineSettings } from "./engine-settings.ts";

const repository = `${import.meta.dir}/../..`;

/** Every setting, and what the engine is told. */
const text = `cgroup-driver = "systemd"
default-runtime = "kata"
registries = "/r.toml"
policy = "/p.toml"
docker-socket = "none"
docker-host = ["tcp://127.0.0.1", "tcp://[::1]:99"]
tlscacert = "/ca"
read-only-socket = "/ro"
tlscert = "/cert"
tlskey = "/key"
cni-config-dir = "/net.d"
cni-bin-dir = ["/a", "/b"]
cni-timeout = 1.5
debug = true
labels = ["rack=7", "row="]
cdi-spec-dirs = ["/cdi"]
group = "docker"
log-driver = "journald"
log-opts = { tag = "x" }
default-ulimits = { nofile = { soft = 1024, hard = -1 }, core = 0 }
default-shm-size = "128m"
default-cgroupns-mode = "host"
default-ipc-mode = "shareable"
cgroup-parent = "/g"
init = true
no-new-privileges = true
seccomp-profile = "unconfined"
dns = ["9.9.9.9", "fd00::1"]
dns-opts = ["ndots:2"]
dns-search = ["example.org"]
host-gateway-ip = "10.9.9.9"
default-address-pools = [{ base = "10.200.0.0/16", size = 24 }]
bip = "10.1.2.1/24"
fixed-cidr = "10.1.2.128/25"
mtu = 1400
icc = false
publish = "host-firewall"
ip-masq = false
ip = "127.0.0.1"
insecure-registries = ["r.example:5000", "10.0.0.0/8"]
registry-mirrors = ["https://mirror.example/"]
max-concurrent-downloads = 2
max-concurrent-uploads = 3
clients = [{ role = "read", uid = 7 }, { role = "operate", gid = 8 }, { certificate = "ann", role = "admin" }]
[proxies]
http-proxy = "http://p:1"
no-proxy = "*.example"
[gc]
keep-storage = "20g"
unused-for = "240h"
every = "90s"
all = true
[default-network-opts.bridge]
"com.docker.network.driver.mtu" = "1300"
[runtimes]
kata = "/usr/bin/kata-runtime"
`;

describe("engine.toml", () => {
  test("every setting is read", () => {
    const { runtimes, values } = readEngineConfig(text, "f");
    expect(runtimes).toEqual({ kata: "/usr/bin/kata-runtime" });
    expect(Object.keys(values).sort()).toEqual([...names].sort());
    expect(readEngineConfig("", "f")).toEqual({ runtimes: {}, values: {}, lines: {} });
  });

  test("and told to the engine", () => {
    const flags = { config: "/f", daemonJson: undefined, runtimes: {} } as never;
    const { settings, ...told } = configurationOf(engineSettings(flags, {}, "/run", (file) => (file === "/f" ? text : null)));
    expect(settings.length).toBe(names.length + 1);
    const bridge = "com.docker.network.bridge";
    expect(told).toEqual({
      runtimes: { named: { kata: "/usr/bin/kata-runtime" }, defaultName: "kata" },
      policy: "/p.toml",
      registries: {
        config: "/r.toml",
        insecure: ["r.example:5000", "10.0.0.0/8"],
        mirrors: ["https://mirror.example/"],
        proxies: { HTTP_PROXY: "http://p:1", NO_PROXY: "*.example" },
      },
      containers: {
        log: { driver: "journald", options: { tag: "x" } },
        ulimits: [
          { name: "nofile", soft: 1024, hard: -1 },
          { name: "core", soft: 0, hard: 0 },
        ],
        ...{ dns: ["9.9.9.9", "fd00::1"], dnsSearch: ["example.org"], dnsOptions: ["ndots:2"], shmSize: 128 << 20 },
        ...{ init: true, noNewPrivileges: true, seccomp: "unconfined", cgroupns: "host", ipc: "shareable", cgroupParent: "/g" },
      },
      gc: { keepStorage: 20 * 2 ** 30, unusedFor: 864_000, every: 90, all: true },
      networks: {
        pools: [{ base: "10.200.0.0/16", size: 24 }],
        options: { bridge: { publish: "host-firewall", "com.docker.network.driver.mtu": "1300" } },
        bridge: {
          ...{ address: "10.1.2.1/24", range: "10.1.2.128/25", mtu: 1400 },
          options: {
            publish: "host-firewall",
            ...{ [`${bridge}.enable_icc`]: "false", [`${bridge}.enable_ip_masquerade`]: "false" },
            [`${bridge}.host_binding_ipv4`]: "127.0.0.1",
          },
        },
      },
      ...{ hostGateway: "10.9.9.9", downloads: 2, uploads: 3, labels: ["rack=7", "row="], cdiDirectories: ["/cdi"], debug: true },
    });
  });

  for (const [given, message] of [
    ['\ncgroup-drive = "systemd"', 'f: line 2: "cgroup-drive" is not known; "cgroup-driver"?'],
    ["# a\ncni-timeout = 0", 'f: line 2: "cni-timeout" must be a number of seconds, at most 3600'],
    ['policy = "policy.toml"', 'f: line 1: "policy" must be an absolute path'],
    ['[runtimes]\na = "/a"\nb = "b"', 'f: line 3: runtime "b" must be a name and an absolute path'],
    ["runtimes = 3", 'f: line 1: "runtimes" must be a table'],
    ['[runtime]\na = "/a"', 'f: line 1: "runtime" is not known; "runtimes"?'],
    ["a = ", "f: line 1:"],
    ["__proto__ = 1", "is not known"],
    ['debug = "yes"', 'f: line 1: "debug" must be true or false'],
    ["\n[log-opts]\nmax-file = 3", 'f: line 2: "log-opts" must be a table of texts'],
    ["\n\n[default-ulimits.nofile]\nsoft = 5\nhard = 2", 'f: line 3: "default-ulimits" must be a table of limits'],
    ['dns = ["one.one"]', '"dns" must be a list of IP addresses'],
    ['bip = "10.1.2.1"', '"bip" must be an IPv4 address with its prefix length'],
    ['bip = "10.1.2.1/33"', '"bip" must be'],
    ["mtu = 20", '"mtu" must be a whole number from 68 to 65535'],
    ['insecure-registries = ["http://a"]', '"insecure-registries" must be a list of HOST[:PORT]'],
    ['registry-mirrors = ["mirror.example"]', '"registry-mirrors" must be a list of addresses'],
    ['labels = ["rack"]', '"labels" must be a list of labels'],
    ['default-address-pools = [{ base = "10.0.0.0", size = 24 }]', '"default-address-pools" must be a list of pools'],
    ['default-shm-size = "a lot"', '"default-shm-size" must be a size in bytes'],
    ['seccomp-profile = "mine.json"', '"seccomp-profile" must be an absolute path, or "unconfined", or "builtin"'],
    ['[proxies]\nftp-proxy = "a"', '"proxies" must be a table of http-proxy, https-proxy and no-proxy'],
  ] as const) {
    test(`refused: ${JSON.stringify(given)}`, () => expect(() => readEngineConfig(given, "f")).toThrow(message));
  }
});

test("docs/configuration.md has every setting, marked where a reload is enough", () => {
  const document = readFileSync(`${repository}/docs/configuration.md`, "utf8").split("## Docker's daemon.json")[0] ?? "";
  for (const name of names) {
    const cells = document.split("\n").flatMap((row) => (row.startsWith("| ") ? (row.split(" | ")[0] ?? []) : []));
    const cell = cells.find((one) => new RegExp(`[\x60[]${name}[\x60\\]. ]`).test(one));
    expect([name, cell?.includes("*")]).toEqual([name, keys[name].when === "reload"]);
  }
});

describe("daemon.json", () => {
  test("the keys are those of dockerd's configuration", () => {
    const known = readFileSync(`${repository}/scripts/dockerd-keys.txt`, "utf8").trim().split("\n");
    expect(Object.keys(daemonKeys).sort()).toEqual(known.toSorted());
  });

  test("what is called the same is a setting of engine.toml", () => {
    const same = Object.entries(daemonKeys).filter(([, { how }]) => how === "same");
    expect(same.filter(([name]) => !(name in keys))).toEqual([]);
    const others = names.filter((name) => daemonKeys[name]?.how !== "same" && name in daemonKeys);
    expect(others).toEqual([]);
  });

  test("docs/configuration.md has each as it is", () => {
    const rows = Object.entries(daemonKeys).map(([name, { how, note }]) => `| \`${name}\` | ${how} | ${note} |`);
    const table = readFileSync(`${repository}/docs/configuration.md`, "utf8").split("| key | here | |\n| --- | --- | --- |\n")[1];
    expect(table?.split("\n\n")[0]?.trim().split("\n")).toEqual(rows);
  });

  test("what means the same, and what is said otherwise", () => {
    const given = `{"runtimes": {"kata": {"path": "/k"}},
      "default-runtime": "kata", "exec-opts": ["native.cgroupdriver=systemd"],
      "hosts": ["fd://", "unix:///s", "tcp://0.0.0.0:2376", "tcp://[::1]"], "log-level": "debug",
      "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}},
      "live-restore": true, "storage-driver": "overlay2", "features": {"buildkit": true, "cdi": false}, "cdi-spec-dirs": ["/cdi"], "userland-proxy": false,
      "host-gateway-ips": ["10.1.1.1", "fd00::1"], "default-shm-size": 1024}`;
    const { runtimes, values, lines } = readDaemonJson(given, "f");
    expect(runtimes).toEqual({ kata: "/k" });
    expect(values).toEqual({
      ...{ "default-runtime": "kata", "cgroup-driver": "systemd", "docker-socket": "/s", debug: true },
      ...{ "docker-host": "tcp://0.0.0.0:2376,tcp://[::1]", "host-gateway-ip": "10.1.1.1", "default-shm-size": 1024 },
      "cdi-spec-dirs": [],
      "default-ulimits": [{ name: "nofile", soft: 64000, hard: 64000 }],
    });
    expect(lines).toMatchObject({ "runtimes.kata": 1, "cgroup-driver": 2, debug: 3, "default-ulimits": 4 });
  });

  for (const [given, message] of [
    ['{\n "data-root": "/d"}', 'f: line 2: "data-root" cannot be had: it is what an engine is called by: --root DIRECTORY'],
    ['{"debug": true,\n\n"live-restore": false}', 'f: line 3: "live-restore" must be true'],
    ['{\n"exec-opt": []}', 'f: line 2: "exec-opt" is not known; "exec-opts"?'],
    ['{"exec-opts": ["native.umask=normal"]}', 'f: line 1: "exec-opts" must be ["native.cgroupdriver=cgroupfs"]'],
    ['{"storage-driver": "zfs"}', '"storage-driver" must be "overlay2"'],
    ['{"userns-remap": "me"}', '"userns-remap" must be "" or "default"'],
    ['{"hosts": ["npipe://"]}', '"hosts" must be a list of unix:///PATH'],
    ['{"runtimes": {\n"k": {"path": "/k", "runtimeArgs": ["--x"]}}}', 'f: line 2: runtime "k" must be'],
    ['{"dns": "9.9.9.9"}', '"dns" must be a list of IP addresses'],
    ["[]", "must be an object"],
    ["{\n\n", "f: line 3: expected a key in quotes, found the end"],
  ] as const) {
    test(`refused: ${JSON.stringify(given)}`, () => expect(() => readDaemonJson(given, "f")).toThrow(message));
  }
});

test("anything is read or refused, with the file's name", () => {
  const key = fc.constantFrom(...names, ...Object.keys(daemonKeys));
  const likely = fc.dictionary(key, fc.jsonValue(), { maxKeys: 3 });
  const toml = likely.map((table) =>
    Object.entries(table)
      .map(([name, value]) => `${name} = ${JSON.stringify(value)}`)
      .join("\n"),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        likely.map((table) => JSON.stringify(table)),
        toml,
      ),
      (given) => {
        for (const read of [readEngineConfig, readDaemonJson]) {
          try {
            read(given, "file");
          } catch (error) {
            expect(error).toBeInstanceOf(OnggiError);
            expect((error as OnggiError).message).toStartWith("file:");
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});
