import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { ControlHarness } from "../../test/control-harness.ts";
import type { ContainerInfo, ContainerSummary, StatsSample } from "../api/control/types.ts";
import { OnggiError } from "../lib/errors.ts";

const harness = new ControlHarness();
beforeAll(() => harness.start());
afterAll(() => harness.stop());
beforeEach(() => {
  harness.handlers = {};
});

const now = Math.floor(Date.now() / 1000);
const summary: ContainerSummary = {
  id: "0123456789abcdef".repeat(4),
  names: ["web"],
  image: "busybox",
  imageId: "sha256:1",
  command: "sh -c while true; do sleep 1; done",
  created: now - 125,
  state: "running",
  status: "Up 2 minutes",
  labels: { app: "a", "com.example.tier": "front" },
  ports: [],
  networks: ["none"],
  mounts: [{ volume: true, name: "data" }],
};

const info: ContainerInfo = {
  id: summary.id,
  name: "web",
  created: "2024-05-01T10:00:00.5Z",
  image: "busybox",
  imageId: "sha256:1",
  args: ["sh", "-c", "true"],
  directory: "/root/containers/x",
  imageConfig: null,
  restartCount: 0,
  health: null,
  healthcheck: null,
  state: {
    status: "paused",
    pid: 42,
    exitCode: 0,
    oomKilled: false,
    error: "",
    startedAt: "2024-05-01T10:00:01Z",
    finishedAt: "",
  },
  request: { image: "busybox", tty: false, resources: { memory: 67108864 }, labels: { app: "a" }, env: ["A=1"] },
  mounts: [],
  systemPaths: { maskedPaths: ["/proc/kcore"], readonlyPaths: [] },
  isolation: { userns: true, reason: "" },
  logPath: "/x/log",
  idMap: { hostId: 100000, size: 65536 },
  cgroupPath: "/onggi/x",
  runtime: "runc",
  links: [],
  networks: [],
  ports: [],
};

describe("ps", () => {
  beforeEach(() => {
    harness.handlers.list = async () => ({ containers: [summary] });
  });

  test("prints Docker's columns", async () => {
    const { stdout } = await harness.command(["ps"]);
    expect(stdout.split("\n")).toEqual([
      "CONTAINER ID   IMAGE     COMMAND                  CREATED         STATUS         PORTS     NAMES",
      '0123456789ab   busybox   "sh -c while true; d…"   2 minutes ago   Up 2 minutes             web',
      "",
    ]);
  });

  test.each([
    [["-q"], "0123456789ab\n"],
    [["-q", "--no-trunc"], `${summary.id}\n`],
    [["--format", "{{.Names}}:{{.State}}"], "web:running\n"],
    [["--format", 'table {{.ID}}\\t{{.Label "com.example.tier"}}'], "CONTAINER ID   tier\n0123456789ab   front\n"],
    [["--format", "{{json .Command}}", "--no-trunc"], `${JSON.stringify('"sh -c while true; do sleep 1; done"')}\n`],
  ])("%j", async (flags, expected) => {
    expect((await harness.command(["ps", ...flags])).stdout).toBe(expected);
  });

  test("--format json gives Docker's names", async () => {
    const { stdout } = await harness.command(["container", "ls", "--format", "json"]);
    const object = JSON.parse(stdout);
    expect([object.ID, object.Names, object.Labels, object.Networks]).toEqual([
      "0123456789ab",
      "web",
      "app=a,com.example.tier=front",
      "none",
    ]);
  });

  test("asks for what the flags say", async () => {
    const asked: unknown[] = [];
    harness.handlers.list = async ({ request }) => {
      asked.push(request);
      return { containers: [] };
    };
    await harness.command(["ps", "-a", "-f", "name=web", "--filter", "label=a=b"]);
    await harness.command(["ps", "-l"]);
    await harness.command(["ps", "-n", "3"]);
    await harness.command(["ps"]);
    expect(asked).toEqual([
      { all: true, filters: { name: ["web"], label: ["a=b"] } },
      { all: true, limit: 1 },
      { all: true, limit: 3 },
      {},
    ]);
  });

  test("a field that is not there names those that are", async () => {
    const { exitCode, stderr } = await harness.command(["ps", "--format", "{{.Nope}}"]);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("there are ID, Names, Image");
  });
});

test("images", async () => {
  harness.handlers.images = async ({ request }) => {
    const image = {
      id: `sha256:${"ab".repeat(32)}`,
      created: now - 7200,
      size: 4_261_502,
      platform: "linux/amd64",
      labels: {},
      repoDigests: [],
    };
    if (request.filters) return { images: [] };
    return {
      images: [
        { ...image, names: ["busybox:latest", "localhost:5000/box:1"] },
        { ...image, id: `sha256:${"cd".repeat(32)}`, names: [] },
      ],
    };
  };
  expect((await harness.command(["images"])).stdout.split("\n")).toEqual([
    "REPOSITORY           TAG       IMAGE ID       CREATED       SIZE",
    "busybox              latest    abababababab   2 hours ago   4.26MB",
    "localhost:5000/box   1         abababababab   2 hours ago   4.26MB",
    "<none>               <none>    cdcdcdcdcdcd   2 hours ago   4.26MB",
    "",
  ]);
  expect((await harness.command(["images", "--tree"])).stdout.split("\n").map((line) => line.trimEnd())).toEqual([
    "IMAGE                  IMAGE ID       CREATED       SIZE",
    "busybox:latest                                      4.26MB",
    "└─ linux/amd64         abababababab   2 hours ago   4.26MB",
    "localhost:5000/box:1                                4.26MB",
    "└─ linux/amd64         abababababab   2 hours ago   4.26MB",
    "<none>                                              4.26MB",
    "└─ linux/amd64         cdcdcdcdcdcd   2 hours ago   4.26MB",
    "",
  ]);
  expect((await harness.command(["images", "-q"])).stdout).toBe("abababababab\ncdcdcdcdcdcd\n");
  expect((await harness.command(["image", "ls", "nothing"])).stdout).toBe("REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
});

describe("inspect", () => {
  beforeEach(() => {
    harness.handlers.inspect = async ({ request }) => {
      if (request.container !== "web") throw new OnggiError("container_not_found", `no such container: ${request.container}`);
      return info;
    };
    harness.handlers.networkInspect = async ({ request }) => {
      throw new OnggiError("network_not_found", `no such network: ${request.network}`);
    };
    harness.handlers.volumeInspect = async ({ request }) => {
      throw new OnggiError("volume_not_found", `no such volume: ${request.volume}`);
    };
    harness.handlers.imageInspect = async ({ request }) => {
      if (request.image !== "busybox") throw new OnggiError("image_not_found", `no such image: ${request.image}`);
      const config = {
        architecture: "amd64",
        os: "linux",
        config: { Cmd: ["sh"] },
        rootfs: { type: "layers" as const, diff_ids: ["sha256:2"] },
      };
      return { id: "sha256:1", names: ["busybox:latest"], repoDigests: [], platform: "linux/amd64", size: 5, config };
    };
  });

  test("prints Docker's shape, with onggi's own beside it", async () => {
    const [object] = JSON.parse((await harness.command(["inspect", "web"])).stdout);
    expect(object.State).toMatchObject({ Status: "paused", Running: true, Paused: true, Pid: 42 });
    expect([object.Name, object.Path, object.Args, object.Image]).toEqual(["/web", "sh", ["-c", "true"], "sha256:1"]);
    expect(object.HostConfig).toMatchObject({ Memory: 67108864, NetworkMode: "bridge" });
    expect(object.Config).toMatchObject({ Image: "busybox", Env: ["A=1"], Labels: { app: "a" } });
    expect(object.Onggi.IdMap).toEqual({ HostId: 100000, Size: 65536 });
  });

  test.each([
    [["inspect", "-f", "{{.State.Pid}} {{.Name}}", "web"], "42 /web\n"],
    [["inspect", "-f", "{{.Config.Labels.app}} {{.Config.Labels.none}}", "web"], "a <no value>\n"],
    [["inspect", "-f", "{{.Config.Cmd}}", "busybox"], "[sh]\n"],
    [["image", "inspect", "-f", "{{.Os}}", "busybox"], "linux\n"],
  ])("%j", async (argv, expected) => {
    expect((await harness.command(argv)).stdout).toBe(expected);
  });

  test("what is missing is told, what is there is shown", async () => {
    const { exitCode, stdout, stderr } = await harness.command(["inspect", "nope", "web"]);
    expect([exitCode, JSON.parse(stdout).length, stderr]).toEqual([
      1,
      1,
      "onggi: no such container, image, network or volume: nope; see onggi ps -a, onggi images, onggi network ls and onggi volume ls\n",
    ]);
    expect((await harness.command(["image", "inspect", "web"])).stderr).toContain("no such image: web");
    expect((await harness.command(["container", "inspect", "busybox"])).stderr).toContain("no such container: busybox");
  });
});

describe("commands on several containers", () => {
  test("with --force what is not there is told, and is no failure", async () => {
    harness.handlers.remove = async ({ request }) => {
      if (request.container === "b") throw new OnggiError("wrong_state", "b is in the way");
      throw new OnggiError("container_not_found", `no such container: ${request.container}`);
    };
    harness.handlers.imageRemove = async ({ request }) => {
      throw new OnggiError("image_not_found", `no such image: ${request.image}`);
    };
    expect(await harness.command(["rm", "-f", "a"])).toEqual({
      exitCode: 0,
      stdout: "",
      stderr: "onggi: no such container: a\n",
    });
    expect((await harness.command(["rm", "-f", "a", "b"])).exitCode).toBe(1);
    expect((await harness.command(["rm", "a"])).exitCode).toBe(1);
    expect((await harness.command(["rmi", "-f", "a"])).exitCode).toBe(0);
    expect((await harness.command(["rmi", "a"])).exitCode).toBe(1);
  });

  test("go on after a failure and end with 1", async () => {
    harness.handlers.stop = async ({ request }) => {
      if (request.container === "b") throw new OnggiError("container_not_found", "no such container: b");
      return { id: "x" };
    };
    expect(await harness.command(["stop", "a", "b", "c"])).toEqual({
      exitCode: 1,
      stdout: "a\nc\n",
      stderr: "onggi: no such container: b\n",
    });
  });

  test.each([
    [["stop", "-t", "3", "-s", "INT", "a"], "stop", { container: "a", timeout: 3, signal: "INT" }],
    [["stop", "--timeout=0", "a"], "stop", { container: "a", timeout: 0 }],
    [["kill", "-s", "HUP", "a"], "kill", { container: "a", signal: "HUP" }],
    [["rm", "a", "-fv"], "remove", { container: "a", force: true, volumes: true }],
    [["pause", "a"], "pause", { container: "a" }],
    [["container", "unpause", "a"], "unpause", { container: "a" }],
    [["start", "a"], "start", { container: "a" }],
    [["update", "-m", "1m", "a"], "update", { container: "a", resources: { memory: 1048576 } }],
    [
      ["logs", "-f", "-n", "5", "-t", "--since", "10m", "a"],
      "logs",
      { container: "a", follow: true, tail: 5, timestamps: true, since: "10m" },
    ],
    [["logs", "--tail", "all", "a"], "logs", { container: "a" }],
    [["tag", "a", "b:1"], "imageTag", { image: "a", name: "b:1" }],
    [["image", "bootstrap", "debian:bookworm", "--name", "d"], "bootstrap", { distribution: "debian:bookworm", name: "d" }],
    [
      ["exec", "-d", "-u", "0", "-w", "/", "-e", "A=1", "--privileged", "a", "ls", "-l"],
      "exec",
      {
        container: "a",
        exec: { command: ["ls", "-l"], env: ["A=1"], user: "0", workdir: "/", privileged: true, detach: true },
        attach: { stdin: false, stdout: false, stderr: false },
      },
    ],
    [["create", "--rm", "busybox", "true"], "create", { container: { image: "busybox", command: ["true"], autoRemove: true } }],
  ] as [string[], string, object][])("%j", async (argv, name, expected) => {
    let asked: unknown;
    (harness.handlers as Record<string, unknown>)[name] = async ({ request }: { request: unknown }) => {
      asked = request;
      return { id: "1", names: [], warnings: [], exitCode: 0 };
    };
    const { exitCode, stderr } = await harness.command(argv);
    expect([exitCode, stderr, asked]).toEqual([0, "", expected]);
  });
});

describe("archives", () => {
  test("standard input travels whole", async () => {
    harness.handlers.import = async ({ request, stdin }) => {
      let size = 0;
      for await (const chunk of stdin) size += chunk.length;
      return {
        id: `sha256:${size}:${request.name}:${request.changes}`,
        names: [],
        repoDigests: [],
        platform: "",
        size,
        config: {} as never,
      };
    };
    const { stdout, stderr } = await harness.command(["import", "-c", "CMD sh", "-", "mine:1"], { stdin: "x".repeat(1_000_000) });
    expect([stdout, stderr]).toEqual(["sha256:1000000:mine:1:CMD sh\n", ""]);
  });

  test("a file is named for the engine to open", async () => {
    const file = join(harness.directory, "a.tar");
    writeFileSync(file, "");
    harness.handlers.load = async ({ request }) => ({
      images: [{ id: request.path ?? "", names: ["a:1", "b:2"], repoDigests: [], platform: "", size: 0, config: {} as never }],
    });
    expect((await harness.command(["load", "-i", file])).stdout).toBe("Loaded image: a:1\nLoaded image: b:2\n");
    expect(await harness.command(["load", "-i", "/nowhere.tar"])).toMatchObject({
      exitCode: 125,
      stderr: "onggi: /nowhere.tar: no such file\n",
    });
  });

  test("rmi says what went", async () => {
    harness.handlers.imageRemove = async () => ({ untagged: ["a:1"], deleted: ["sha256:1"] });
    expect((await harness.command(["rmi", "a"])).stdout).toBe("Untagged: a:1\nDeleted: sha256:1\n");
  });
});

describe("stats", () => {
  const sample = (usageNs: number, systemUsageNs: number): StatsSample => ({
    id: summary.id,
    name: "web",
    read: "",
    cpu: { usageNs, userNs: 0, systemNs: 0, throttledPeriods: 0, throttledNs: 0, onlineCpus: 2, systemUsageNs },
    memory: {
      usageBytes: 2 * 1024 ** 2,
      limitBytes: 64 * 1024 ** 2,
      cacheBytes: 1024 ** 2,
      inactiveFileBytes: 0,
      maxUsageBytes: 0,
      swapBytes: 0,
      failures: 0,
      oomKills: 0,
    },
    pids: { current: 1, limit: 0 },
    io: { readBytes: 1000, writeBytes: 0, readOps: 0, writeOps: 0 },
    network: {},
  });

  test("--no-stream shows the second sample, whose CPU use is known", async () => {
    let calls = 0;
    harness.handlers.stats = async (call) => {
      await call.item({ samples: [calls++ === 0 ? sample(0, 0) : sample(500_000_000, 2_000_000_000)] });
      return {};
    };
    expect((await harness.command(["stats", "--no-stream"])).stdout.split("\n")).toEqual([
      "CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O   BLOCK I/O   PIDS",
      "0123456789ab   web       50.00%    2MiB / 64MiB        3.13%     0B / 0B   1kB / 0B    1",
      "",
    ]);
  });
});

test("stats without containers prints the titles and ends", async () => {
  harness.handlers.stats = async (call) => {
    await call.item({ samples: [] });
    return {};
  };
  expect((await harness.command(["stats", "--no-stream"])).stdout).toStartWith("CONTAINER ID   NAME");
});

test("events", async () => {
  harness.handlers.events = async (call) => {
    await call.item({
      type: "container",
      action: "die",
      id: "abc",
      attributes: { name: "web", exitCode: "0" },
      timeNano: "1714557600123456789",
    });
    return {};
  };
  expect((await harness.command(["events"])).stdout).toBe(
    "2024-05-01T10:00:00.123456789Z container die abc (exitCode=0, name=web)\n",
  );
  expect((await harness.command(["events", "--format", "{{.Actor.Attributes.name}} {{.timeNano}}"])).stdout).toBe(
    "web 1714557600123456789\n",
  );
});

test("engine status by Go names", async () => {
  harness.handlers.status = async () => ({
    pid: 7,
    version: "1",
    root: "/r",
    run: "/n",
    startedAt: "t",
    containers: { running: 1, paused: 0, stopped: 2 },
    images: 3,
    cgroup: "v1" as const,
    cgroupDriver: "cgroupfs" as const,
    kernel: "6.18",
    features: { erofs: true, idmap: false },
    rssBytes: 1024 ** 2,
  });
  expect((await harness.command(["engine", "status", "--format", "{{.Pid}} {{.Containers.Running}} {{.RssBytes}}"])).stdout).toBe(
    "7 1 1048576\n",
  );
  expect((await harness.command(["engine", "status"])).stdout).toContain("features:   erofs, no idmap");
});

describe("version", () => {
  test("says which engine answers", async () => {
    harness.handlers.ping = async () => ({ version: "9.9", pid: 5 });
    expect((await harness.command(["version"])).stdout).toContain("onggi 1.2.3\n");
    expect((await harness.command(["--version"])).stdout).toContain("engine 9.9, pid 5");
    expect((await harness.command(["version", "--format", "{{.Client.Version}} {{.Server.Pid}}"])).stdout).toBe("1.2.3 5\n");
  });
});

describe("explain", () => {
  test("prints the text, or the plan", async () => {
    const asked: unknown[] = [];
    harness.handlers.explain = async ({ request }) => {
      asked.push(request.container);
      return { text: "calls\n", plan: { child: [] } };
    };
    expect((await harness.command(["explain", "-m", "1m", "busybox"])).stdout).toBe("calls\n");
    expect(JSON.parse((await harness.command(["explain", "--json", "run", "-d", "-m", "1m", "busybox"])).stdout)).toEqual({
      child: [],
    });
    expect(asked[0]).toEqual(asked[1] as never);
  });
});
