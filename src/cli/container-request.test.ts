import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { containerFlags } from "./container-flags.ts";
import { containerRequest, parseDevice, parseUlimit } from "./container-request.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";
import { parseFlags } from "./flags.ts";
import { parseMount, parseTmpfs, parseVolume, splitCsv } from "./mounts.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-request-"));
const file = (name: string, content: string): string => {
  writeFileSync(join(directory, name), content);
  return join(directory, name);
};
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const context = { cwd: "/here", env: { HOME: "/root", EMPTY: "" } } as unknown as Context;
const request = (...argv: string[]) => {
  const { values, args } = parseFlags(containerFlags, argv, false);
  return containerRequest(values, args, context);
};
const base = { image: "busybox" };

describe("each flag becomes its part of the request", () => {
  const GiB = 1024 ** 3;
  test.each([
    [["--name", "web"], { name: "web" }],
    [["-it"], { openStdin: true, tty: true }],
    [["-e", "A=1", "-e", "HOME", "-e", "MISSING", "-e", "EMPTY"], { env: ["A=1", "HOME=/root", "EMPTY="] }],
    [["-w", "/srv"], { workdir: "/srv" }],
    [["-u", "1000:1000"], { user: "1000:1000" }],
    [["--entrypoint", "/bin/sh"], { entrypoint: ["/bin/sh"] }],
    [["--entrypoint", ""], { entrypoint: [] }],
    [["--name", "", "-w", "", "-u=", "-h", "", "--stop-signal", "", "--ip", "", "--cpuset-cpus", "", "--pid", ""], {}],
    [["-h", "box", "--domainname", "example.org"], { hostname: "box", domainname: "example.org" }],
    [["--network", "host"], { network: "host" }],
    [["--net=none"], { network: "none" }],
    [["--network", "web"], { networks: [{ network: "web" }] }],
    [
      ["--network", "name=web,alias=a,alias=b,ip=10.0.0.2", "--network", "back"],
      { networks: [{ network: "web", aliases: ["a", "b"], ipv4: "10.0.0.2" }, { network: "back" }] },
    ],
    [
      ["--link", "db", "--link", "/cache:/web/store"],
      {
        links: [
          { container: "db", alias: "db" },
          { container: "cache", alias: "store" },
        ],
      },
    ],
    [
      ["--network", "name=web,send=8mbit,receive=1k,link=db:sql"],
      { networks: [{ network: "web", bandwidth: { send: 1e6, receive: 1024 }, links: [{ container: "db", alias: "sql" }] }] },
    ],
    [["--network-send", "80bit"], { resources: { networkSend: 10 } }],
    [["--ip6", "fd00::2", "--network-alias", "db"], { networks: [{ network: "bridge", ipv6: "fd00::2", aliases: ["db"] }] }],
    [
      ["-p", "8080:80", "-P", "--expose", "53/udp"],
      {
        publish: [{ protocol: "tcp", containerPort: 80, hostIp: "", hostPort: 8080, hostPortEnd: 8080 }],
        publishAll: true,
        expose: ["53/udp"],
      },
    ],
    [
      ["--dns", "192.0.2.1", "--dns-search", "a.test", "--dns-option", "ndots:2", "--add-host", "h:host-gateway"],
      { dns: ["192.0.2.1"], dnsSearch: ["a.test"], dnsOptions: ["ndots:2"], extraHosts: ["h:host-gateway"] },
    ],
    [["-m", "64m"], { resources: { memory: 64 * 1024 ** 2 } }],
    [["--memory-swap", "-1"], { resources: { memorySwap: -1 } }],
    [["--memory-swap", "1g"], { resources: { memorySwap: GiB } }],
    [["--memory-reservation", "1g"], { resources: { memoryReservation: GiB } }],
    [["--cpus", "1.5"], { resources: { nanoCpus: 1_500_000_000 } }],
    [["-c", "512"], { resources: { cpuShares: 512 } }],
    [["--cpu-period", "100000", "--cpu-quota", "50000"], { resources: { cpuPeriod: 100000, cpuQuota: 50000 } }],
    [["--cpu-rt-period", "1000", "--cpu-rt-runtime", "500"], { resources: { cpuRealtimePeriod: 1000, cpuRealtimeRuntime: 500 } }],
    [["--cpuset-cpus", "0-1", "--cpuset-mems", "0"], { resources: { cpusetCpus: "0-1", cpusetMems: "0" } }],
    [["--pids-limit", "20"], { resources: { pidsLimit: 20 } }],
    [["--blkio-weight", "300"], { resources: { blkioWeight: 300 } }],
    [
      ["--blkio-weight-device", "/dev/sda:500", "--device-read-iops", "/dev/sda:0"],
      { resources: { blkioWeightDevice: [{ path: "/dev/sda", value: 500 }], deviceReadIops: [{ path: "/dev/sda", value: 0 }] } },
    ],
    [
      ["--device-read-bps", "/dev/sda:1024", "--device-read-bps", "/dev/sdb:1mb"],
      {
        resources: {
          deviceReadBps: [
            { path: "/dev/sda", value: 1024 },
            { path: "/dev/sdb", value: 2 ** 20 },
          ],
        },
      },
    ],
    [
      ["--device-write-bps", "/dev/sda:1.5k", "--device-write-iops", "/dev/sda:7"],
      { resources: { deviceWriteBps: [{ path: "/dev/sda", value: 1536 }], deviceWriteIops: [{ path: "/dev/sda", value: 7 }] } },
    ],
    [["--memory-swappiness", "0"], { resources: { memorySwappiness: 0 } }],
    [["--memory-swappiness", "-1"], {}],
    [["--read-only"], { readonlyRootfs: true }],
    [["--tmpfs", "/run", "--tmpfs", "/tmp:size=1m,noexec"], { tmpfs: { "/run": "", "/tmp": "size=1m,noexec" } }],
    [["--privileged"], { privileged: true }],
    [["--cap-add", "net_admin", "--cap-add", "CAP_SYS_TIME"], { capAdd: ["CAP_NET_ADMIN", "CAP_SYS_TIME"] }],
    [["--cap-drop", "all"], { capDrop: ["ALL"] }],
    [["--security-opt", "no-new-privileges"], { securityOpt: ["no-new-privileges"] }],
    [["--userns", "host"], { userns: "host" }],
    [["--userns", "private"], { userns: "private" }],
    [["--volumes-from", "a:ro", "--volumes-from", "b"], { volumesFrom: ["a:ro", "b"] }],
    [["-v", "n1:/a", "--volume-driver", "local"], { mounts: [{ type: "volume", source: "n1", target: "/a", driver: "local" }] }],
    [["-l", "a=1", "--label", "b"], { labels: { a: "1", b: "" } }],
    [["--group-add", "audio"], { groupAdd: ["audio"] }],
    [["--device", "/dev/fuse"], { devices: [{ hostPath: "/dev/fuse", containerPath: "/dev/fuse", access: "rwm" }] }],
    [["--device-cgroup-rule", "c 42:* rmw"], { deviceCgroupRules: ["c 42:* rmw"] }],
    [["--sysctl", "net.ipv4.ip_forward=1"], { sysctls: { "net.ipv4.ip_forward": "1" } }],
    [["--ulimit", "nofile=10:20"], { ulimits: [{ name: "nofile", soft: 10, hard: 20 }] }],
    [["--shm-size", "1g"], { shmSize: GiB }],
    [["--init"], { init: true }],
    [["--pid", "host", "--ipc", "host", "--uts", "host"], { pid: "host", ipc: "host", uts: "host" }],
    [["--cgroupns", "host", "--cgroup-parent", "/x"], { cgroupns: "host", cgroupParent: "/x" }],
    [["--oom-kill-disable", "--oom-score-adj", "-500"], { oomKillDisable: true, oomScoreAdj: -500 }],
    [["--stop-signal", "INT", "--stop-timeout", "3"], { stopSignal: "INT", stopTimeout: 3 }],
    [["--log-driver", "none"], { log: { driver: "none", maxSize: 104857600, maxFiles: 3 } }],
    [
      ["--log-driver", "local", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"],
      { log: { driver: "local", maxSize: 10 * 1024 ** 2, maxFiles: 3, options: { "max-size": "10m", "max-file": "3" } } },
    ],
    [["--log-opt", "max-size=10m", "--log-opt", "max-file=3"], { logOptions: { "max-size": "10m", "max-file": "3" } }],
    [["--rootfs", "tree"], { rootfs: "/here/tree" }],
    [["--health-cmd", "true", "--health-interval", "1m30s"], { health: { test: ["CMD-SHELL", "true"], interval: 90e9 } }],
    [["--no-healthcheck"], { health: { test: ["NONE"] } }],
    [["--restart", "on-failure:3"], { restart: { name: "on-failure", maximumRetryCount: 3 } }],
    [["--restart", "no", "--pull", "never"], {}],
    [
      ["-v", "/a:/b:ro", "--mount", "type=tmpfs,dst=/t"],
      {
        mounts: [
          { type: "bind", source: "/a", target: "/b", readonly: true, createSource: true, mode: "ro" },
          { type: "tmpfs", target: "/t" },
        ],
      },
    ],
  ] as [string[], object][])("%j", async (argv, expected) => {
    expect(await request(...argv, "busybox")).toEqual({ ...base, ...expected });
  });

  test("what follows the image is the command, flags and all", async () => {
    expect(await request("busybox", "ls", "-l", "--name")).toEqual({ ...base, command: ["ls", "-l", "--name"] });
  });

  test("environment files come before -e, comments are skipped, lone names are taken from here", async () => {
    const env = file("env", "# comment\n\nA=file\nB=two words\nHOME\nMISSING\r\n");
    expect((await request("-e", "A=flag", "--env-file", env, "busybox")).env).toEqual([
      "A=file",
      "B=two words",
      "HOME=/root",
      "A=flag",
    ]);
  });

  test("label files", async () => {
    const labels = file("labels", "a=1\nb\n");
    expect((await request("--label-file", labels, "-l", "a=2", "busybox")).labels).toEqual({ a: "2", b: "" });
  });

  test("a seccomp profile is read where its path means something", async () => {
    const profile = file("seccomp.json", '{ "defaultAction": "SCMP_ACT_ALLOW" }');
    expect((await request("--security-opt", `seccomp=${profile}`, "busybox")).securityOpt).toEqual([
      'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}',
    ]);
    expect((await request("--security-opt", "seccomp=unconfined", "busybox")).securityOpt).toEqual(["seccomp=unconfined"]);
  });
});

describe("refuses", () => {
  beforeAll(() => {
    file("bad-env", "has space=1\n");
    file("not.json", "{");
  });
  test.each([
    [["--network", "none", "--network", "web"], "goes with no other"],
    [["--network", "name=web,speed=1"], 'unknown key "speed"'],
    [["--network", "host", "--ip", "10.0.0.2"], "need a network"],
    [["-p", "80:80/icmp"], 'protocol "icmp" is not one of'],
    [["--link", "a:b:c"], "bad format for links: a:b:c"],
    [["--link", ":b"], "bad format for links"],
    [["--network", "name=web,receive=fast"], "is not a rate"],
    [["--restart", "always:x"], "must be an integer"],
    [["--no-healthcheck", "--health-cmd", "true"], "--no-healthcheck conflicts with --health-* options"],
    [["--health-interval", "soon"], "is not a duration"],
    [["-v", "data"], "the path inside must begin with /"],
    [["-v", "a/b:/data"], "is no name of a volume"],
    [["-v", "data:/data:rshared"], 'unknown option "rshared"'],
    [["-v", "/a:/data:nocopy"], 'unknown option "nocopy"'],
    [["-v", "/a:b"], "the path inside must begin with /"],
    [["-v", "/a:/b:what"], 'unknown option "what"'],
    [["--mount", "type=npipe,dst=/x"], 'type "npipe" is not one of'],
    [["--mount", "type=volume,src=/a,dst=/x"], "is no name of a volume"],
    [["--mount", "type=image,dst=/x"], "needs source=IMAGE"],
    [["--mount", "type=volume,dst=/x,bind-propagation=rslave"], "bind-propagation is for type=bind"],
    [["--mount", "type=bind,src=/a,dst=/x,volume-nocopy"], "volume-nocopy is for type=volume"],
    [["--mount", "type=bind,src=/a,dst=/x,bind-recursive=writable"], "needs readonly"],
    [
      ["--mount", "type=bind,src=/a,dst=/x,ro,bind-recursive=readonly,bind-propagation=rshared"],
      "needs bind-propagation=rprivate",
    ],
    [["--mount", "type=bind,src=/a,dst=/x,ro=maybe"], 'is true or false, not "maybe"'],
    [["--mount", "type=tmpfs,src=a,dst=/x"], "a tmpfs has no source"],
    [["--volume-driver", "nfs"], "is not one of"],
    [["--mount", "type=bind,dst=/x"], "needs source=PATH"],
    [["--mount", "type=bind,src=/x"], "needs target=PATH"],
    [["--mount", "type=bind,src=/x,dst=/y,colour=red"], 'unknown field "colour"'],
    [["-m", "lots"], '-m "lots" is not a size'],
    [["--cpus", "x"], "not a number of CPUs"],
    [["--cpus", "1", "--cpu-quota", "5"], "give one or the other"],
    [["--pids-limit", "many"], "is not a whole number"],
    [["--device-read-bps", "1mb"], 'invalid argument "1mb" for "--device-read-bps" flag: bad format: 1mb'],
    [["--device-read-bps", ":1mb"], "bad format: :1mb"],
    [["--device-write-bps", "sda:1mb"], "bad format for device path: sda:1mb"],
    [["--device-write-bps", "/dev/sda:-1"], "Unit is optional and can be kb, mb, or gb"],
    [["--device-read-bps", "/dev/sda:fast"], "invalid rate for device: /dev/sda:fast. The correct format is"],
    [["--device-read-iops", "/dev/sda:1k"], "<device-path>:<number>. Number must be a positive integer"],
    [["--device-write-iops", "/dev/sda:99999999999999999999"], "Number must be a positive integer"],
    [["--blkio-weight-device", "/dev/sda:5"], "invalid weight for device: /dev/sda:5"],
    [["--blkio-weight-device", "/dev/sda:1001"], "invalid weight for device: /dev/sda:1001"],
    [["--blkio-weight-device", "/dev/sda:"], "invalid weight for device: /dev/sda:"],
    [["--memory-swappiness", "101"], "invalid value: 101. Valid memory swappiness range is 0-100"],
    [["--memory-swappiness", "-2"], "invalid value: -2. Valid memory swappiness range is 0-100"],
    [["--memory-swappiness", "x"], "is not a whole number"],
    [["--ulimit", "files=1"], "write NAME=SOFT[:HARD]"],
    [["--ulimit", "nofile=5:4"], "above the hard one"],
    [["--device", "fuse"], "absolute paths"],
    [["--device-cgroup-rule", "x"], "write TYPE MAJOR:MINOR ACCESS"],
    [["--sysctl", "x"], "write KEY=VALUE"],
    [["--log-opt", "max-file=none"], "give a number from 1 on"],
    [["--log-driver", "fluentd"], "is not one of json-file, local, journald"],
    [["--cap-add", "net admin"], "is not a capability"],
    [["--tmpfs", "run"], "the path must begin with /"],
    [["-e", "=x"], "write NAME=VALUE"],
    [["-l", "=x"], "write KEY=VALUE"],
    [["--env-file", join(directory, "nowhere")], "--env-file"],
    [["--env-file", join(directory, "bad-env")], "bad-env:1"],
    [["--security-opt", `seccomp=${join(directory, "not.json")}`], "is not JSON"],
  ] as [string[], string][])("%j", async (argv, message) => {
    const error = await (async () => request(...argv, "busybox"))().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).message).toContain(message);
  });
});

describe("mounts", () => {
  test.each([
    ["/b", { type: "volume", target: "/b" }],
    ["data:/b", { type: "volume", source: "data", target: "/b" }],
    ["data:/b:ro,nocopy", { type: "volume", source: "data", target: "/b", readonly: true, nocopy: true, mode: "ro,nocopy" }],
    ["/a:/b", { type: "bind", source: "/a", target: "/b", createSource: true }],
    ["./a:/b", { type: "bind", source: "/here/a", target: "/b", createSource: true }],
    [".:/b:rw,z", { type: "bind", source: "/here/.", target: "/b", createSource: true, mode: "rw,z" }],
    [
      "/a:/b:ro,rshared,nosuid",
      {
        ...{ type: "bind", source: "/a", target: "/b", readonly: true, createSource: true },
        ...{ options: ["rshared", "nosuid"], mode: "ro,rshared,nosuid" },
      },
    ],
  ])("-v %s", (spec, mount) => expect(parseVolume(spec, "/here")).toEqual(mount as never));

  test.each([
    ["type=bind,source=/a,target=/b,readonly", { type: "bind", source: "/a", target: "/b", readonly: true }],
    [
      "type=bind,src=a,dst=/b,ro=false,bind-propagation=rslave",
      { type: "bind", source: "/here/a", target: "/b", readonly: false, options: ["rslave"] },
    ],
    ["type=bind,src=/a,dst=/b,bind-nonrecursive", { type: "bind", source: "/a", target: "/b", options: ["bind"] }],
    [
      "type=bind,src=/a,dst=/b,ro,bind-recursive=writable,bind-create-src",
      { type: "bind", source: "/a", target: "/b", readonly: true, readonlyBelow: "writable", createSource: true },
    ],
    ["type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", { type: "bind", source: "/a", target: "/b", readonly: true }],
    ["dst=/b", { type: "volume", target: "/b" }],
    [
      'source=v1,dst=/b,volume-nocopy,volume-subpath=a/b,volume-driver=local,volume-label=x=y,volume-opt=type=nfs,"volume-opt=o=a=1,b"',
      {
        ...{ type: "volume", source: "v1", target: "/b", nocopy: true, subpath: "a/b", driver: "local" },
        ...{ labels: { x: "y" }, driverOptions: { type: "nfs", o: "a=1,b" } },
      },
    ],
    [
      "type=image,source=busybox,destination=/b,image-subpath=etc,consistency=cached",
      { type: "image", source: "busybox", target: "/b", subpath: "etc" },
    ],
    ['type=bind,"src=/a,b",dst=/c', { type: "bind", source: "/a,b", target: "/c" }],
    ["type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777", { type: "tmpfs", target: "/t", options: ["size=1048576", "mode=1777"] }],
  ])("--mount %s", (spec, mount) => expect(parseMount(spec, "/here")).toEqual(mount as never));

  test("whatever is written is a mount, or a UsageError", () => {
    const word = fc.constantFrom(
      "type=bind",
      "type=volume",
      "src=a",
      "src=/a",
      "dst=/b",
      "ro",
      "volume-opt=a=b",
      "bind-propagation=slave",
    );
    const spec = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(word, fc.string()), { maxLength: 6 }).map((words) => words.join(",")),
    );
    const volume = fc
      .array(fc.oneof(fc.string(), fc.constantFrom("/a", "b1", "ro", "..")), { maxLength: 4 })
      .map((words) => words.join(":"));
    const whole = (parse: () => { target: string }): void => {
      try {
        expect(parse().target).toStartWith("/");
      } catch (error) {
        if (!(error instanceof OnggiError)) throw error;
      }
    };
    fc.assert(fc.property(spec, (text) => whole(() => parseMount(text, "/here"))));
    fc.assert(fc.property(volume, (text) => whole(() => parseVolume(text, "/here"))));
  });

  test("splitCsv", () => {
    expect(splitCsv('a,"b,c","d""e",')).toEqual(["a", "b,c", 'd"e', ""]);
    expect(parseTmpfs("/a:size=1m,mode=1:2")).toEqual(["/a", "size=1m,mode=1:2"]);
  });
});

test.each([
  ["/dev/a", "/dev/a", "/dev/a", "rwm"],
  ["/dev/a:/dev/b", "/dev/a", "/dev/b", "rwm"],
  ["/dev/a:r", "/dev/a", "/dev/a", "r"],
  ["/dev/a:/dev/b:rw", "/dev/a", "/dev/b", "rw"],
])("parseDevice(%s)", (spec, hostPath, containerPath, access) => {
  expect(parseDevice(spec)).toEqual({ hostPath, containerPath, access });
});

test("parseUlimit knows unlimited", () => {
  expect(parseUlimit("core=unlimited")).toEqual({ name: "core", soft: -1, hard: -1 });
  expect(parseUlimit("memlock=5:-1")).toEqual({ name: "memlock", soft: 5, hard: -1 });
});
