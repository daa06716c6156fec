import { describe, expect, test } from "bun:test";
import { compileRequest, type Surroundings } from "./compile-request.ts";
import type { Project, Service } from "./project.ts";

const project: Project = {
  name: "shop",
  working_dir: "/app",
  files: ["/app/compose.yaml"],
  profiles: [],
  environment: { TOKEN: "t" },
  services: {},
  disabled: {},
  networks: { default: { name: "shop_default" }, back: { name: "shop_back" } },
  volumes: { data: { name: "shop_data" } },
  configs: { motd: { name: "shop_motd", content: "hello" } },
  secrets: { token: { name: "shop_token", environment: "TOKEN" }, key: { name: "shop_key", file: "/app/key" } },
  models: {},
  extensions: {},
};
const around: Surroundings = {
  name: "shop-web-1",
  number: 1,
  labels: { a: "label" },
  peer: (name) => (name === "db" ? "0123" : undefined),
};
const compile = (service: Omit<Service, "name">, more: Partial<Surroundings> = {}) =>
  compileRequest(project, { name: "web", ...service }, { ...around, ...more });
const request = (service: Omit<Service, "name">, more: Partial<Surroundings> = {}) =>
  compile({ image: "web", ...service }, more).request;

test("the least: image, name, labels, the default network with the service's names", () => {
  expect(request({ labels: { own: "1" } })).toEqual({
    image: "web",
    name: "shop-web-1",
    labels: { own: "1", a: "label" },
    networks: [{ network: "shop_default", aliases: ["shop-web-1", "web"] }],
  });
});

test("without an image the built one's name", () => {
  expect(compile({ build: { context: "." } }).request.image).toBe("shop-web");
});

test("everything of the process", () => {
  expect(
    request(
      {
        command: ["a"],
        entrypoint: ["b"],
        environment: { A: "1", GONE: null },
        user: "1",
        working_dir: "/w",
        tty: true,
        stdin_open: true,
        init: true,
        stop_signal: "SIGINT",
        stop_grace_period: "1m1.5s",
        cap_add: ["net_admin", "ALL"],
        cap_drop: ["CAP_CHOWN"],
        security_opt: ["no-new-privileges", "seccomp:/p.json"],
        ulimits: { nofile: { soft: 1, hard: 2 } },
        restart: "on-failure:3",
      },
      { profiles: new Map([["/p.json", "{}"]]) },
    ),
  ).toMatchObject({
    command: ["a"],
    entrypoint: ["b"],
    env: ["A=1", "GONE"],
    user: "1",
    workdir: "/w",
    tty: true,
    openStdin: true,
    init: true,
    stopSignal: "SIGINT",
    stopTimeout: 62,
    capAdd: ["CAP_NET_ADMIN", "ALL"],
    capDrop: ["CAP_CHOWN"],
    securityOpt: ["no-new-privileges", "seccomp={}"],
    ulimits: [{ name: "nofile", soft: 1, hard: 2 }],
    restart: { name: "on-failure", maximumRetryCount: 3 },
  });
});

test("limits of deploy come before the older keys", () => {
  const service = {
    cpus: 1,
    mem_limit: 1,
    deploy: {
      resources: { limits: { cpus: "0.5", memory: 2, pids: 3 }, reservations: { memory: 4 } },
      restart_policy: { condition: "any", max_attempts: 3 },
    },
  };
  expect(request(service)).toMatchObject({
    resources: { nanoCpus: 500_000_000, memory: 2, pidsLimit: 3, memoryReservation: 4 },
    restart: { name: "always", maximumRetryCount: 0 },
  });
});

test("realtime, in microseconds or as a duration", () => {
  expect(request({ cpu_rt_period: "1s", cpu_rt_runtime: "950000" }).resources).toEqual({
    cpuRealtimePeriod: 1_000_000,
    cpuRealtimeRuntime: 950_000,
  });
});

test("limits of block devices", () => {
  const service = {
    mem_swappiness: 10,
    blkio_config: {
      weight: 300,
      weight_device: [{ path: "/dev/sda", weight: 400 }],
      device_read_bps: [{ path: "/dev/sda", rate: 1024 }],
      device_write_bps: [],
      device_write_iops: [{ path: "/dev/sdb", rate: 30 }],
    },
  };
  expect(request(service).resources).toEqual({
    memorySwappiness: 10,
    blkioWeight: 300,
    blkioWeightDevice: [{ path: "/dev/sda", value: 400 }],
    deviceReadBps: [{ path: "/dev/sda", value: 1024 }],
    deviceWriteIops: [{ path: "/dev/sdb", value: 30 }],
  });
});

test("health checks: durations in nanoseconds; disabled: none", () => {
  expect(request({ healthcheck: { test: ["CMD", "x"], interval: "1s", start_interval: "100ms", retries: 2 } }).health).toEqual({
    test: ["CMD", "x"],
    interval: 1e9,
    startInterval: 1e8,
    retries: 2,
  });
  expect(request({ healthcheck: { disable: true } }).health).toEqual({ test: ["NONE"] });
});

test("networks by priority, with addresses and links", () => {
  const { networks } = request({
    networks: { default: { priority: 1, ipv4_address: "10.0.0.9" }, back: { priority: 5, aliases: ["w"], interface_name: "b0" } },
    links: ["db:database"],
    mac_address: "02:00:00:00:00:01",
  });
  expect(networks).toEqual([
    {
      network: "shop_back",
      aliases: ["shop-web-1", "web", "w"],
      interface: "b0",
      mac: "02:00:00:00:00:01",
      links: [{ container: "db", alias: "database" }],
    },
    {
      network: "shop_default",
      aliases: ["shop-web-1", "web"],
      ipv4: "10.0.0.9",
      links: [{ container: "db", alias: "database" }],
    },
  ]);
});

test("what is shared with another service is its container's", () => {
  const shared = request({
    network_mode: "service:db",
    pid: "service:db",
    ipc: "shareable",
    volumes_from: ["db:ro", "container:x"],
  });
  expect(shared).toMatchObject({
    network: "container:0123",
    pid: "container:0123",
    ipc: "shareable",
    volumesFrom: ["0123:ro", "x"],
  });
  expect([request({ ipc: "service:db" }).ipc, request({ ipc: "container:y" }).ipc]).toEqual(["container:0123", "container:y"]);
  expect(() => request({ network_mode: "service:other" })).toThrow("service other has no container to share with");
});

test("ports: published ones are exposed", () => {
  const { publish, expose } = request({
    ports: [
      { target: 80, published: "8080", protocol: "tcp", mode: "ingress" },
      { target: 53, published: "5000-5003", host_ip: "127.0.0.1", protocol: "udp", mode: "host" },
      { target: 81, protocol: "tcp", mode: "ingress" },
    ],
    expose: ["90-91"],
  });
  expect(publish).toEqual([
    { protocol: "tcp", containerPort: 80, hostIp: "", hostPort: 8080, hostPortEnd: 8080 },
    { protocol: "udp", containerPort: 53, hostIp: "127.0.0.1", hostPort: 5000, hostPortEnd: 5003 },
    { protocol: "tcp", containerPort: 81, hostIp: "", hostPort: 0, hostPortEnd: 0 },
  ]);
  expect(expose).toEqual(["80/tcp", "53/udp", "81/tcp", "90/tcp", "91/tcp"]);
});

test("mounts: names of volumes, anonymous ones kept, options", () => {
  const { mounts, tmpfs } = request(
    {
      volumes: [
        { type: "volume", source: "data", target: "/data", volume: { nocopy: true } },
        { type: "volume", target: "/anon" },
        { type: "bind", source: "/src", target: "/b", read_only: true, bind: { create_host_path: true, propagation: "rslave" } },
        { type: "tmpfs", target: "/t", tmpfs: { size: 64, mode: 0o1777 } },
        { type: "image", source: "busybox", target: "/i", image: { subpath: "bin" } },
      ],
      tmpfs: ["/run", "/x:size=1m"],
    },
    {
      inherited: new Map([
        ["/anon", "abc"],
        ["/image", "def"],
      ]),
    },
  );
  expect(mounts).toEqual([
    { type: "volume", target: "/anon", source: "abc" },
    { type: "volume", source: "def", target: "/image" },
    { type: "volume", target: "/data", source: "shop_data", nocopy: true },
    { type: "bind", target: "/b", readonly: true, source: "/src", createSource: true, options: ["rslave"] },
    { type: "tmpfs", target: "/t", options: ["size=64", "mode=1777"] },
    { type: "image", target: "/i", source: "busybox", subpath: "bin" },
  ]);
  expect(tmpfs).toEqual({ "/run": "", "/x": "size=1m" });
});

test("devices: those of the host, and those that drivers know", () => {
  const devices = [
    { source: "/dev/fuse", target: "/dev/f", permissions: "" },
    { source: "v.com/c=a", target: "v.com/c=a", permissions: "rwm" },
  ];
  const reservations = {
    devices: [
      { driver: "cdi", device_ids: ["v.com/c=b"] },
      { capabilities: ["tpu"], count: 2 },
    ],
  };
  const made = request({ devices, gpus: [{ count: -1 }], deploy: { resources: { reservations } } });
  expect(made.devices).toEqual([{ hostPath: "/dev/fuse", containerPath: "/dev/f", access: "rwm" }]);
  expect(made.driverRequests).toEqual([
    { driver: "cdi", ids: ["v.com/c=b"] },
    { capabilities: [["tpu"]], count: 2 },
    { capabilities: [["gpu"]], count: -1 },
    { driver: "cdi", ids: ["v.com/c=a"] },
  ]);
  expect(request({ annotations: { a: "b" } }).annotations).toEqual({ a: "b" });
});

test("secrets and configs: files are mounted, texts of secrets are secrets, of configs files", () => {
  const { request: made, files } = compile({
    image: "web",
    secrets: [
      { source: "token", uid: "5", mode: 0o400 },
      { source: "key", target: "other" },
    ],
    configs: [{ source: "motd", target: "/etc/motd" }],
  });
  expect(made.mounts).toEqual([{ type: "bind", source: "/app/key", target: "/run/secrets/other", readonly: true }]);
  expect(made.secrets).toEqual([{ name: "token", data: "dA==", target: "/run/secrets/token", uid: 5, gid: 0, mode: 0o400 }]);
  expect(files).toEqual([{ path: "/etc/motd", text: "hello", uid: 0, gid: 0, mode: 0o444 }]);
  // a read-only root takes no file
  expect(request({ read_only: true, configs: [{ source: "motd" }] }).secrets).toMatchObject([
    { target: "/motd", data: "aGVsbG8=" },
  ]);
});

describe("what cannot be is refused and named", () => {
  const refused: [Omit<Service, "name">, string][] = [
    [{ storage_opt: { size: "1g" } }, "storage_opt is not supported"],
    [{ cpu_rt_runtime: "soon" }, 'cpu_rt_runtime: "soon" is no duration'],
    [{ logging: { driver: "gelf" } }, "logging.driver gelf is not supported"],
    [{ networks: { default: { link_local_ips: ["169.254.1.1"] } } }, "networks.default.link_local_ips is not supported"],
    [{ volumes: [{ type: "cluster", target: "/x" }] }, "volumes of type cluster is not supported"],
    [{ networks: { nope: null } }, "networks.nope: the project has no network of that name"],
    [{ secrets: [{ source: "nope" }] }, "secrets.nope: the project has none of that name"],
    [{ restart: "sometimes" }, 'restart: "sometimes" is not one of'],
    [{ stop_grace_period: "soon" }, 'stop_grace_period: "soon" is no duration'],
  ];
  for (const [service, message] of refused) test(message, () => expect(() => request(service)).toThrow(message));
});

test("what only swarms obey is told", () => {
  const { warnings } = compile({ image: "web", deploy: { mode: "global", placement: {}, restart_policy: { delay: "5s" } } });
  expect(warnings).toEqual([
    "service web: deploy.mode is for swarms and is not obeyed",
    "service web: deploy.placement is for swarms and is not obeyed",
    "service web: deploy.restart_policy.delay is for swarms and is not obeyed",
  ]);
});
