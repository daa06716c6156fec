/** Volumes on docker.sock: Docker's own command line, and what requests are answered. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { CommandLine } from "../kit/command.ts";
import { askDocker, dockerClients, dockerFor, refusalOf } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
  await engine.ok(["volume", "prune", "-a", "-f"]);
});

const filtersOf = (filters: object): string => `filters=${encodeURIComponent(JSON.stringify(filters))}`;

describe.each(dockerClients())("%s", (client) => {
  let docker: CommandLine;
  beforeAll(() => {
    docker = dockerFor(client, engine);
  });
  afterAll(() => docker.killRunning());
  const refused = async (...args: string[]): Promise<string> => {
    const { stderr, code } = await docker.run(args);
    expect(code).not.toBe(0);
    return stderr;
  };

  test("volume create, ls, inspect, rm", async () => {
    expect(await docker.ok(["volume", "create", "--label", "a=b", "data"])).toBe("data");
    expect(await docker.ok(["volume", "create", "data"])).toBe("data");
    expect(await docker.ok(["volume", "create"])).toMatch(/^[0-9a-f]{64}$/);
    const [shown] = JSON.parse(await docker.ok(["volume", "inspect", "data"]));
    expect(shown).toMatchObject({ Name: "data", Driver: "local", Scope: "local", Labels: { a: "b" } });
    expect(shown.Mountpoint).toEndWith("/data/_data");
    expect(Number.isNaN(Date.parse(shown.CreatedAt))).toBe(false);
    const ls = (...filters: string[]) =>
      docker.ok(["volume", "ls", "--format", "{{.Driver}} {{.Name}}", ...filters.flatMap((one) => ["--filter", one])]);
    expect((await ls()).split("\n")).toHaveLength(2);
    expect(await ls("label=a", "dangling=true", "name=dat", "driver=local")).toBe("local data");
    expect(await docker.ok(["volume", "rm", "data"])).toBe("data");
    expect(await refused("volume", "inspect", "data")).toMatch(/no such volume/i);
    expect(await docker.ok(["volume", "rm", "-f", "data"])).toBe("data");
  });

  test("run -v, --mount and --tmpfs; one in use stays", async () => {
    await docker.ok(["run", "--rm", "-v", "data:/data", "busybox", "sh", "-c", "echo hi > /data/file"]);
    const read = ["run", "--name", "reader", "--mount", "type=volume,source=data,target=/d,readonly", "--tmpfs", "/t:size=1m"];
    const script = "cat /d/file; touch /d/x 2>/dev/null || echo refused; grep -c ' /t tmpfs ' /proc/mounts";
    expect(await docker.ok([...read, "busybox", "sh", "-c", script])).toBe("hi\nrefused\n1");
    const id = await docker.ok(["inspect", "-f", "{{.Id}}", "reader"]);
    expect(await refused("volume", "rm", "data")).toContain(`remove data: volume is in use - [${id}]`);
    expect(await docker.ok(["volume", "ls", "-q", "--filter", "dangling=false"])).toBe("data");
    await docker.ok(["rm", "reader"]);
    expect(await docker.ok(["volume", "rm", "data"])).toBe("data");
    const made = [
      "run",
      "--rm",
      "--mount",
      "type=volume,target=/t,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-opt=o=size=2m",
    ];
    expect(await docker.ok([...made, "busybox", "sh", "-c", "df -k /t | tail -1"])).toContain("2048");
    expect(await docker.ok(["volume", "ls", "-q"])).toBe("");
  });

  test("prune: below API 1.42 all that are unused, from then on those without a name", async () => {
    await docker.ok(["volume", "create", "named"]);
    await docker.ok(["run", "--name", "one", "-v", "/anonymous", "-v", "used:/used", "busybox", "true"]);
    await docker.ok(["volume", "create"]);
    const version = await docker.ok(["version", "--format", "{{.Client.APIVersion}}"]);
    const pruned = await docker.ok(["volume", "prune", "-f"]);
    const all = Number(version.slice(2)) < 42;
    expect(pruned.includes("named")).toBe(all);
    expect(pruned).toMatch(/[0-9a-f]{64}/);
    expect(pruned).toContain("Total reclaimed space: ");
    if (!all) expect(await docker.ok(["volume", "prune", "-a", "-f"])).toContain("named");
    expect((await docker.ok(["volume", "ls", "-q"])).split("\n")).toHaveLength(2);
  });
});

type Made = { readonly Name: string; readonly Labels: object };

test("requests: what is there is found, what cannot be is refused", async () => {
  const made = await askDocker<Made>(engine, "POST", "/volumes/create", { Name: "data", Labels: { a: "b" } });
  expect([made.status, made.value.Name, made.value.Labels]).toEqual([201, "data", { a: "b" }]);
  const again = await askDocker<Made>(engine, "POST", "/volumes/create", { Name: "data", Driver: "local", DriverOpts: {} });
  expect([again.status, again.value]).toEqual([201, made.value]);
  expect(
    (await askDocker(engine, "POST", "/volumes/create", { Name: "data", DriverOpts: { type: "tmpfs", device: "tmpfs" } })).status,
  ).toBe(409);
  expect((await askDocker<Made>(engine, "POST", "/volumes/create")).value.Name).toMatch(/^[0-9a-f]{64}$/);
  for (const bad of [{ Name: "a/b" }, { Name: "data2", Driver: "remote" }, { Name: "data2", DriverOpts: { nothing: "x" } }])
    expect([bad, (await askDocker(engine, "POST", "/volumes/create", bad)).status]).toEqual([bad, 400]);
  expect((await refusalOf(engine, "POST", "/volumes/create", { ClusterVolumeSpec: {} }))[1]).toStartWith(
    "This node is not a swarm manager.",
  );
  expect(await refusalOf(engine, "GET", "/volumes/nothing")).toEqual([404, "get nothing: no such volume"]);
  expect(await refusalOf(engine, "DELETE", "/volumes/nothing")).toEqual([404, "get nothing: no such volume"]);
  expect((await askDocker(engine, "DELETE", "/volumes/nothing?force=1")).status).toBe(204);
  expect(await refusalOf(engine, "PUT", "/volumes/data?version=1", {})).toEqual([
    503,
    "volume update only valid for cluster volumes, but swarm is unavailable",
  ]);
  expect((await askDocker(engine, "PUT", "/v1.41/volumes/data", {})).status).toBe(404);
  for (const filters of [{ nothing: ["x"] }, { dangling: ["maybe"] }])
    expect([filters, (await askDocker(engine, "GET", `/volumes?${filtersOf(filters)}`)).status]).toEqual([filters, 400]);
  for (const filters of [{ all: ["maybe"] }, { all: ["true", "false"] }, { until: ["24h"] }, { nothing: ["x"] }])
    expect([filters, (await askDocker(engine, "POST", `/volumes/prune?${filtersOf(filters)}`)).status]).toEqual([filters, 400]);
  expect(
    (await askDocker<{ VolumesDeleted: string[] }>(engine, "POST", `/volumes/prune?${filtersOf({ all: ["0"] })}`)).value
      .VolumesDeleted,
  ).toHaveLength(1);
  expect((await askDocker(engine, "POST", "/v1.41/volumes/prune")).value).toMatchObject({ VolumesDeleted: ["data"] });
  expect((await askDocker(engine, "POST", "/volumes/prune")).value).toEqual({ VolumesDeleted: null, SpaceReclaimed: 0 });
});

test("nothing is left", () => engine.expectClean());
