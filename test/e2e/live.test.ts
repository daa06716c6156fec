import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Engine, eventually, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);

test("limits changed between create and start are those it starts with", async () => {
  const file = "cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null";
  await engine.ok(["create", "--name", "early", "--pids-limit", "50", "busybox", "sh", "-c", file]);
  await engine.ok(["update", "--pids-limit", "77", "early"]);
  expect((await engine.onggi(["start", "-a", "early"])).stdout.trim()).toBe("77");
  await engine.ok(["rm", "early"]);
});

describe("stats", () => {
  test("--no-stream: one line per running container, with the limits as Docker prints them", async () => {
    const id = await engine.ok([
      "run",
      "-d",
      "--name",
      "busy",
      "--memory",
      "64m",
      "--pids-limit",
      "9",
      "busybox",
      "sh",
      "-c",
      "while :; do :; done",
    ]);
    await Bun.sleep(300);
    const table = (await engine.ok(["stats", "--no-stream"])).split("\n");
    expect(table[0]).toMatch(/^CONTAINER ID\s+NAME\s+CPU %\s+MEM USAGE \/ LIMIT\s+MEM %\s+NET I\/O\s+BLOCK I\/O\s+PIDS/);
    expect(table.length).toBe(2);
    expect(table[1]).toContain(id.slice(0, 12));
    expect(table[1]).toContain("/ 64MiB");
    const [cpu, pids] = (await engine.ok(["stats", "--no-stream", "--format", "{{.CPUPerc}} {{.PIDs}}", "busy"])).split(" ");
    expect(Number.parseFloat(cpu!)).toBeGreaterThan(20);
    expect(pids).toBe("1");
    await engine.ok(["rm", "-f", "busy"]);
  });

  test("the network: by interface, all of them together, nothing of the host's", async () => {
    await engine.ok(["network", "create", "second"]);
    await engine.ok(["run", "-d", "--name", "wired", "--network", "bridge", "--network", "second", "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--name", "host", "--network", "host", "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--name", "none", "--network", "none", "busybox", "sleep", "1000"]);
    await engine.ok(["run", "-d", "--name", "guest", "--network", "container:wired", "busybox", "sleep", "1000"]);
    type Counters = Record<string, number>;
    interface Shown {
      Name: string;
      NetIO: string;
      Networks: Record<string, Counters>;
    }
    const stats = async (...names: string[]) => {
      const lines = (await engine.ok(["stats", "--no-stream", "--format", "json", ...names])).split("\n");
      const shown = lines.map((line): Shown => JSON.parse(line));
      return Object.fromEntries(shown.map((one) => [one.Name, one]));
    };
    const before = (await stats("wired")).wired!.Networks;
    expect(Object.keys(before).sort()).toEqual(["eth0", "eth1"]);
    const gateway = await engine.ok(["inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "wired"]);
    await engine.ok(["exec", "wired", "ping", "-c3", "-i0.1", "-s1000", gateway]);
    const { wired, guest, host, none } = await stats("wired", "guest", "host", "none");
    const { Networks, NetIO } = wired!;
    const interfaceTo = await engine.ok([
      "exec",
      "wired",
      "sh",
      "-c",
      `ip route get ${gateway} | sed 's/.* dev \\([^ ]*\\) .*/\\1/; q'`,
    ]);
    const grown = (key: string) => Networks[interfaceTo]![key]! - before[interfaceTo]![key]!;
    for (const way of ["rx", "tx"]) {
      expect(grown(`${way}_packets`)).toBeGreaterThanOrEqual(3);
      expect(grown(`${way}_bytes`)).toBeGreaterThan(3000);
      expect(Networks[interfaceTo]).toContainKeys([`${way}_errors`, `${way}_dropped`]);
    }
    expect(NetIO).toMatch(/^[\d.]+kB \/ [\d.]+kB$/);
    expect(Object.keys(guest!.Networks).sort()).toEqual(["eth0", "eth1"]);
    for (const one of [host, none]) expect(one).toMatchObject({ NetIO: "0B / 0B", Networks: {} });
    await engine.ok(["rm", "-f", "wired", "host", "none", "guest"]);
    await engine.ok(["network", "rm", "second"]);
  });

  test("the stream goes on once a second until it is stopped", async () => {
    await engine.ok(["run", "-d", "--name", "calm", "busybox", "sleep", "1000"]);
    const call = engine.spawn(["stats", "--format", "{{.Name}}", "calm"]);
    await eventually("three samples came", () => call.output().split("calm").length > 3);
    call.process.kill("SIGINT");
    await call.done;
    await engine.ok(["rm", "-f", "calm"]);
  });
});

describe("events", () => {
  test("a container's life in order, by filter, and from the past", async () => {
    const since = String(Date.now() / 1000 - 0.001);
    const call = engine.spawn(["events", "--filter", "container=lived", "--format", "{{.Action}}"]);
    await Bun.sleep(400);
    await engine.ok(["run", "-d", "--name", "lived", "busybox", "sleep", "1000"]);
    await engine.ok(["pause", "lived"]);
    await engine.ok(["unpause", "lived"]);
    await engine.ok(["stop", "-t", "0", "lived"]);
    await engine.ok(["rm", "lived"]);
    await call.until("destroy");
    call.process.kill("SIGINT");
    await call.done;
    const order = call.output().trim().split("\n");
    const expected = ["create", "start", "pause", "unpause", "kill", "die", "stop", "destroy"];
    // two signals where it was not patient enough for the first
    const known = order.filter((action, at) => expected.includes(action) && action !== order[at - 1]);
    expect(known).toEqual(expected.filter((action) => order.includes(action)));
    for (const action of ["create", "start", "pause", "unpause", "die", "destroy"]) expect(order).toContain(action);
    const past = await engine.ok([
      "events",
      "--since",
      since,
      "--until",
      String(Date.now() / 1000),
      "--filter",
      "container=lived",
      "--format",
      "{{.Action}}",
    ]);
    expect(past.split("\n")).toEqual(order);
  });

  test("die carries the exit status; json has Docker's fields", async () => {
    const since = String(Date.now() / 1000 - 0.001);
    await engine.onggi(["run", "--rm", "--name", "dies", "busybox", "sh", "-c", "exit 3"]);
    const lines = (
      await engine.ok([
        "events",
        "--since",
        since,
        "--until",
        String(Date.now() / 1000 + 0.01),
        "--filter",
        "event=die",
        "--format",
        "json",
      ])
    ).split("\n");
    const event = JSON.parse(lines.at(-1)!);
    expect(event).toMatchObject({ Type: "container", Action: "die" });
    expect(event.Actor.Attributes).toMatchObject({ exitCode: "3", name: "dies", image: expect.stringContaining("busybox") });
    expect(Number(event.timeNano)).toBeGreaterThan(1e18);
  });
});

describe("ps", () => {
  test("columns, -a, -q, --no-trunc, -n, --filter, --format", async () => {
    const up = await engine.ok(["run", "-d", "--name", "up", "--label", "tier=front", "busybox", "sleep", "1000"]);
    await engine.onggi(["run", "--name", "down", "--label", "tier=back", "busybox", "sh", "-c", "exit 4"]);
    const table = (await engine.ok(["ps"])).split("\n");
    expect(table[0]).toMatch(/^CONTAINER ID\s+IMAGE\s+COMMAND\s+CREATED\s+STATUS\s+PORTS\s+NAMES$/);
    expect(table.length).toBe(2);
    expect(table[1]).toMatch(new RegExp(`^${up.slice(0, 12)}\\s+busybox\\s+"sleep 1000"\\s+.*ago\\s+Up .*\\s+up$`));
    expect((await engine.ok(["ps", "-a"])).split("\n").length).toBe(3);
    expect(await engine.ok(["ps", "-q"])).toBe(up.slice(0, 12));
    expect(await engine.ok(["ps", "-q", "--no-trunc"])).toBe(up);
    expect(await engine.ok(["ps", "-n", "1", "--format", "{{.Names}}"])).toBe("down");
    expect(await engine.ok(["ps", "-a", "--filter", "status=exited", "--format", "{{.Names}} {{.Status}}"])).toMatch(
      /^down Exited \(4\) .*ago$/,
    );
    expect(await engine.ok(["ps", "-a", "--filter", "label=tier=front", "--format", "{{.Names}}"])).toBe("up");
    expect(await engine.ok(["ps", "-a", "--filter", "exited=4", "--format", "{{.Names}}"])).toBe("down");
    expect(await engine.ok(["ps", "-a", "--filter", "ancestor=busybox", "--filter", "name=^up$", "--format", "{{.ID}}"])).toBe(
      up.slice(0, 12),
    );
    expect(JSON.parse(await engine.ok(["ps", "--format", "json"]))).toMatchObject({
      Names: "up",
      Image: "busybox",
      State: "running",
    });
    expect(await engine.ok(["ps", "--format", "table {{.Names}}\t{{.Image}}"])).toMatch(/^NAMES\s+IMAGE\nup\s+busybox$/);
    const bad = await engine.onggi(["ps", "--filter", "colour=green"]);
    expect(bad.code).not.toBe(0);
    expect(bad.stderr).toContain("colour");
    await engine.ok(["rm", "-f", "up", "down"]);
  });
});
