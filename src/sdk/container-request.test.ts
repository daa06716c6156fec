import { expect, test } from "bun:test";
import { resolve } from "node:path";
import { containerRequest, restartPolicy } from "./container-request.ts";
import { isOnggiError } from "./errors.ts";
import type { ContainerOptions } from "./options.ts";

test("nothing said is nothing asked", () => {
  expect(containerRequest("debian", [], {})).toEqual({ image: "debian" });
  expect(containerRequest("debian", undefined, { ports: undefined } as unknown as ContainerOptions)).toEqual({ image: "debian" });
});

test("everything said, in the engine's words", () => {
  const asked = containerRequest("debian", ["sleep", "inf"], {
    name: "jar",
    env: { A: "1", B: "x=y" },
    ports: [80, { port: 53, protocol: "udp", hostPort: 5353, host: "" }],
    mounts: [
      { type: "bind", source: "data", target: "/data", readonly: true },
      { type: "volume", target: "/cache" },
      { type: "tmpfs", target: "/tmp", size: "64m", mode: 0o1777 },
    ],
    secrets: { token: "clay", key: { data: new Uint8Array([1, 2]), mode: 0o440 } },
    networks: ["back", { name: "front", aliases: ["web"] }],
    health: { command: "true", interval: "5s", timeout: 250 },
    restart: { policy: "on-failure", maximumRetries: 3 },
    hosts: { db: "10.0.0.1" },
    memory: "64m",
    memorySwap: -1,
    cpus: 1.5,
    stopTimeout: "1500ms",
    lease: "l1",
  });
  expect(asked).toEqual({
    image: "debian",
    command: ["sleep", "inf"],
    name: "jar",
    env: ["A=1", "B=x=y"],
    publish: [
      { protocol: "tcp", containerPort: 80, hostIp: "127.0.0.1", hostPort: 0, hostPortEnd: 0 },
      { protocol: "udp", containerPort: 53, hostIp: "", hostPort: 5353, hostPortEnd: 5353 },
    ],
    mounts: [
      { type: "bind", source: resolve("data"), target: "/data", readonly: true },
      { type: "volume", target: "/cache" },
      { type: "tmpfs", target: "/tmp", options: ["size=67108864", "mode=1777"] },
    ],
    secrets: [
      { name: "token", data: "Y2xheQ==" },
      { name: "key", data: "AQI=", mode: 0o440 },
    ],
    networks: [{ network: "back" }, { network: "front", aliases: ["web"] }],
    health: { test: ["CMD-SHELL", "true"], interval: 5e9, timeout: 250e6 },
    restart: { name: "on-failure", maximumRetryCount: 3 },
    extraHosts: ["db:10.0.0.1"],
    resources: { memory: 64 * 2 ** 20, memorySwap: -1, nanoCpus: 1.5e9 },
    stopTimeout: 2,
    lease: "l1",
  });
  const disks = { "/dev/sda": { readBytes: "1m", writeOperations: 0 }, "/dev/sdb": { readBytes: 5, weight: 500 } };
  expect(containerRequest("debian", [], { blockDevices: disks }).resources).toEqual({
    deviceReadBps: [
      { path: "/dev/sda", value: 2 ** 20 },
      { path: "/dev/sdb", value: 5 },
    ],
    deviceWriteIops: [{ path: "/dev/sda", value: 0 }],
    blkioWeightDevice: [{ path: "/dev/sdb", value: 500 }],
  });
  expect(containerRequest("debian", [], { networks: ["none"] })).toEqual({ image: "debian", network: "none" });
  expect(containerRequest("debian", [], { health: false }).health).toEqual({ test: ["NONE"] });
  expect(restartPolicy("always")).toEqual({ name: "always", maximumRetryCount: 0 });
});

const wrong: [what: string, command: unknown, options: unknown][] = [
  ["a command that is text", "echo hello", {}],
  ["a command with a number", ["sleep", 1], {}],
  ["a port that is none", [], { ports: [70000] }],
  ["a port that is text", [], { ports: ["80"] }],
  ["a mount without a path", [], { mounts: [{ type: "volume", target: "data" }] }],
  ["a mount of no type", [], { mounts: [{ type: "disk", target: "/data" }] }],
  ["a variable with =", [], { env: { "A=B": "1" } }],
  ["a size that is none", [], { memory: "much" }],
  ["a rate below 0", [], { blockDevices: { "/dev/sda": { readBytes: -1 } } }],
  ["half a byte", [], { memory: 0.5 }],
  ["a duration that is none", [], { stopTimeout: "soon" }],
  ["a duration before now", [], { health: { command: "true", interval: -1 } }],
  ["CPUs that are none", [], { cpus: Number.NaN }],
  ["no network beside one", [], { networks: ["none", "back"] }],
];

for (const [what, command, options] of wrong) {
  test(`${what} is refused before anything is asked`, () => {
    let thrown: unknown;
    try {
      containerRequest("debian", command as string[], options as ContainerOptions);
    } catch (error) {
      thrown = error;
    }
    expect(isOnggiError(thrown, "invalid_option")).toBe(true);
  });
}

test("an image must be named", () => expect(() => containerRequest("", [], {})).toThrow("name an image"));
