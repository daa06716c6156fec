/** Networks on docker.sock: Docker's own command line, and what requests are answered. */
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
  await engine.ok(["network", "prune", "-f"]);
});

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

  test("network create, ls, inspect, rm", async () => {
    const args = ["--subnet", "10.231.7.0/24", "--gateway", "10.231.7.9", "--ip-range", "10.231.7.128/25", "--label", "a=b"];
    const id = await docker.ok(["network", "create", ...args, "--aux-address", "printer=10.231.7.200", "web"]);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    const [shown] = JSON.parse(await docker.ok(["network", "inspect", "web"]));
    expect(shown).toMatchObject({
      ...{ Name: "web", Id: id, Scope: "local", Driver: "bridge", EnableIPv6: false, Internal: false, Containers: {} },
      IPAM: {
        Driver: "default",
        Config: [
          {
            Subnet: "10.231.7.0/24",
            IPRange: "10.231.7.128/25",
            Gateway: "10.231.7.9",
            AuxiliaryAddresses: { printer: "10.231.7.200" },
          },
        ],
      },
      Labels: { a: "b" },
    });
    const ls = (...filters: string[]) =>
      docker.ok(["network", "ls", "--format", "{{.Name}}", ...filters.flatMap((one) => ["--filter", one])]);
    expect((await ls()).split("\n").sort()).toEqual(["bridge", "host", "none", "web"]);
    expect(await ls("label=a=b")).toBe("web");
    expect(await ls("type=custom", "driver=bridge", "scope=local", `id=${id.slice(0, 12)}`, "dangling=true")).toBe("web");
    expect(await ls("driver=host")).toBe("host");
    expect(await docker.ok(["network", "inspect", "-f", "{{.Name}}", id.slice(0, 12)])).toBe("web");
    expect(await refused("network", "create", "web")).toContain("network with name web already exists");
    expect(await docker.ok(["network", "rm", "web"])).toBe("web");
    expect(await refused("network", "inspect", "web")).toMatch(/No such network: web|web not found/);
    expect(await refused("network", "rm", "bridge")).toContain("bridge is a pre-defined network and cannot be removed");
  });

  test("run in networks: address, alias, port, hosts found by name", async () => {
    await docker.ok(["network", "create", "--subnet", "10.231.8.0/24", "back"]);
    const where = ["--network", "back", "--ip", "10.231.8.77", "--network-alias", "db", "-p", "127.0.0.1::80"];
    await docker.ok(["run", "-d", "--name", "one", ...where, "busybox", "httpd", "-f", "-h", "/etc"]);
    const fetched = await docker.ok(["run", "--rm", "--network", "back", "busybox", "wget", "-qO-", "http://db/hostname"]);
    expect(fetched).toBe((await docker.ok(["inspect", "-f", "{{.Config.Hostname}}", "one"])).trim());
    const port = await docker.ok(["port", "one", "80"]);
    expect(port).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(await (await fetch(`http://${port}/hostname`)).text()).toBe(`${fetched}\n`);
    const show = "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}";
    expect(await docker.ok(["network", "inspect", "-f", show, "back"])).toBe("one 10.231.8.77/24");
    expect(await refused("network", "rm", "back")).toContain("has active endpoints");
  });

  test("connect and disconnect a container that runs", async () => {
    await docker.ok(["network", "create", "--subnet", "10.231.9.0/24", "back"]);
    await docker.ok(["run", "-d", "--name", "one", "busybox", "sleep", "1000"]);
    await docker.ok(["network", "connect", "--ip", "10.231.9.5", "--alias", "db", "back", "one"]);
    const format = '{{with index .NetworkSettings.Networks "back"}}{{.IPAddress}} {{.Aliases}}{{end}}';
    expect(await docker.ok(["inspect", "-f", format, "one"])).toMatch(/^10\.231\.9\.5 \[.*db.*\]$/);
    expect(await docker.ok(["exec", "one", "ip", "-o", "-4", "addr"])).toContain("10.231.9.5/24");
    expect(await refused("network", "connect", "back", "one")).toContain("already exists in network back");
    expect(await docker.ok(["ps", "-q", "--filter", "network=back"])).not.toBe("");
    await docker.ok(["network", "disconnect", "back", "one"]);
    expect(await docker.ok(["exec", "one", "ip", "-o", "-4", "addr"])).not.toContain("10.231.9.5");
    expect(await refused("network", "disconnect", "back", "one")).toContain("is not in network back");
    expect(await refused("network", "connect", "back", "nobody")).toContain("No such container: nobody");
  });

  test("prune takes what nobody is in", async () => {
    await docker.ok(["network", "create", "used"]);
    await docker.ok(["network", "create", "--label", "keep", "kept"]);
    await docker.ok(["network", "create", "spare"]);
    await docker.ok(["create", "--network", "used", "--name", "one", "busybox"]);
    expect(await docker.ok(["network", "prune", "-f", "--filter", "label!=keep"])).toBe("Deleted Networks:\nspare\n");
    expect(await docker.ok(["network", "prune", "-f"])).toBe("Deleted Networks:\nkept\n");
    expect(await docker.ok(["network", "prune", "-f"])).toBe("");
  });

  test("configurations, and networks that are made after them", async () => {
    const option = ["-o", "com.docker.network.driver.mtu=1400", "--label", "tier=back"];
    await docker.ok(["network", "create", "--config-only", "--subnet", "10.231.10.0/24", ...option, "plan"]);
    const shown = async (name: string) => JSON.parse(await docker.ok(["network", "inspect", name]))[0];
    const kept = { Options: { "com.docker.network.driver.mtu": "1400" }, Labels: { tier: "back" } };
    expect(await shown("plan")).toMatchObject({
      ...{ Driver: "null", Scope: "local", ConfigOnly: true, ConfigFrom: { Network: "" }, ...kept },
      IPAM: { Config: [{ Subnet: "10.231.10.0/24" }] },
    });
    expect((await shown("plan")).IPAM.Config[0]).not.toHaveProperty("Gateway");
    await docker.ok(["network", "create", "--config-from", "plan", "--internal", "made"]);
    expect(await shown("made")).toMatchObject({
      ...{ Driver: "bridge", Internal: true, ConfigOnly: false, ConfigFrom: { Network: "plan" }, ...kept },
      IPAM: { Config: [{ Subnet: "10.231.10.0/24", Gateway: "10.231.10.1" }] },
    });
    expect(await docker.ok(["run", "--rm", "--network", "made", "--ip", "10.231.10.9", "busybox", "ip", "addr"])).toMatch(
      /mtu 1400[\s\S]*10\.231\.10\.9/,
    );
    expect(await refused("run", "--rm", "--network", "plan", "busybox", "true")).toContain(
      "cannot create endpoint on configuration-only network",
    );
    const inUse = 'error while removing network: configuration network "plan" is in use';
    expect(await refused("network", "rm", "plan")).toContain(`${inUse}\n`);
    expect(await docker.ok(["network", "prune", "-f"])).toBe("Deleted Networks:\nmade\n");
    expect(await docker.ok(["network", "rm", "plan"])).toBe("plan");
  });

  test("IPv6, internal, options of the driver", async () => {
    const option = ["-o", "com.docker.network.driver.mtu=1400"];
    await docker.ok(["network", "create", "--ipv6", "--subnet", "fd31:7::/64", "--internal", ...option, "six"]);
    const [shown] = JSON.parse(await docker.ok(["network", "inspect", "six"]));
    expect(shown).toMatchObject({ EnableIPv6: true, Internal: true, Options: { "com.docker.network.driver.mtu": "1400" } });
    expect(await docker.ok(["run", "--rm", "--network", "six", "busybox", "ip", "addr", "show", "eth0"])).toMatch(
      /mtu 1400[\s\S]*fd31:7::/,
    );
  });
});

test("what is refused, in Docker's words", async () => {
  const create = (body: object) => refusalOf(engine, "POST", "/networks/create", body);
  expect(await create({ Name: "host" })).toEqual([403, "operation is not permitted on predefined host network "]);
  expect((await create({ Name: "x", Scope: "swarm" }))[1]).toStartWith("This node is not a swarm manager.");
  for (const [field, more] of Object.entries({
    "IPAM driver": { IPAM: { Driver: "remote" } },
    "IPAM option": { IPAM: { Options: { a: "b" } } },
    Subnet: { IPAM: { Config: [{ Gateway: "10.0.0.1" }] } },
    "10.0.0.300": { IPAM: { Config: [{ Subnet: "10.0.0.300/24" }] } },
    remote: { Driver: "remote" },
    nothing: { Options: { nothing: "x" } },
  })) {
    const [status, message] = await create({ Name: "x", ...more });
    expect([field, status, message]).toEqual([field, 400, expect.stringContaining(field)]);
  }
  expect((await create({}))[0]).toBe(400);
  for (const body of [
    { ConfigOnly: true, Internal: true },
    { ConfigOnly: true, Attachable: true },
  ])
    expect(await create({ Name: "x", ...body })).toEqual([
      403,
      "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.",
    ]);
  const ConfigFrom = { Network: "other" };
  expect(await create({ Name: "x", ConfigFrom })).toEqual([404, 'configuration network "other" does not exist']);
  expect((await create({ Name: "x", ConfigFrom: { Network: "bridge" } }))[0]).toBe(404);
  expect((await create({ Name: "x", ConfigFrom, ConfigOnly: true }))[0]).toBe(403);
  expect((await create({ Name: "x", ConfigFrom, Options: { a: "b" } }))[0]).toBe(403);
  await engine.ok(["network", "create", "--config-only", "plan"]);
  await engine.ok(["run", "-d", "--name", "none", "busybox", "sleep", "1000"]);
  expect(await refusalOf(engine, "POST", "/networks/plan/connect", { Container: "none" })).toEqual([
    403,
    "cannot create endpoint on configuration-only network",
  ]);
  await engine.ok(["network", "rm", "plan"]);
  await engine.ok(["network", "create", "--subnet", "10.231.12.0/30", "small"]);
  expect((await create({ Name: "x", IPAM: { Config: [{ Subnet: "10.231.12.0/24" }] } }))[0]).toBe(403);
  await engine.ok(["run", "-d", "--name", "one", "--network", "name=small,ip=10.231.12.2", "busybox", "sleep", "1000"]);
  await engine.ok(["run", "-d", "--name", "two", "busybox", "sleep", "1000"]);
  const connect = (EndpointConfig: object) =>
    refusalOf(engine, "POST", "/networks/small/connect", { Container: "two", EndpointConfig });
  expect((await connect({}))[0]).toBe(503);
  expect((await connect({ IPAMConfig: { IPv4Address: "10.231.12.2" } }))[0]).toBe(403);
  expect((await connect({ IPAMConfig: { IPv4Address: "10.9.9.9" } }))[0]).toBe(400);
  expect(await refusalOf(engine, "DELETE", "/networks/nothing")).toEqual([404, "network nothing not found"]);
  expect(await refusalOf(engine, "POST", "/networks/bridge/connect", {})).toEqual([
    400,
    "invalid container name or ID: value is empty",
  ]);
  expect((await refusalOf(engine, "POST", "/networks/nothing/connect", { Container: "one" }))[0]).toBe(404);
  expect((await refusalOf(engine, "POST", "/networks/bridge/disconnect", { Container: "one" }))[0]).toBe(404);
  expect(await refusalOf(engine, "GET", "/networks/bridge?scope=swarm")).toEqual([404, "network bridge not found"]);
  for (const filters of ["type=x", "dangling=x", "nothing=x"]) {
    const [key = "", value] = filters.split("=");
    const given = encodeURIComponent(JSON.stringify({ [key]: [value] }));
    expect([filters, (await refusalOf(engine, "GET", `/networks?filters=${given}`))[0]]).toEqual([filters, 400]);
  }
});

test("what a version changes", async () => {
  await engine.ok(["run", "-d", "busybox", "sleep", "1000"]);
  const fields = async (version: string) =>
    (await askDocker<{ Containers?: object }[]>(engine, "GET", `/v${version}/networks?filters={"name":["bridge"]}`)).value;
  expect((await fields("1.54"))[0]).not.toHaveProperty("Containers");
  expect((await fields("1.41"))[0]?.Containers).toEqual({});
  expect(Object.keys((await fields("1.27"))[0]?.Containers ?? {})).toHaveLength(1);
});

type Member = { readonly Name: string; readonly MacAddress: string };

test("a MAC address of an endpoint is heeded from 1.54 on; one that is there already is 403", async () => {
  await engine.ok(["network", "create", "--subnet", "10.231.11.0/24", "macs"]);
  for (const version of ["1.53", "1.54"]) {
    const name = `m${version.slice(2)}`;
    await engine.ok(["run", "-d", "--name", name, "busybox", "sleep", "1000"]);
    const body = { Container: name, EndpointConfig: { MacAddress: "02:42:0a:e7:0b:63", GwPriority: 5 } };
    expect((await askDocker(engine, "POST", `/v${version}/networks/macs/connect`, body)).status).toBe(200);
    const { Containers } = (await askDocker<{ Containers: Record<string, Member> }>(engine, "GET", "/networks/macs")).value;
    const mine = Object.values(Containers).find((one) => one.Name === name);
    expect(mine?.MacAddress === "02:42:0a:e7:0b:63").toBe(version === "1.54");
    expect(await refusalOf(engine, "POST", `/networks/macs/connect`, body)).toEqual([
      403,
      `endpoint with name ${name} already exists in network macs`,
    ]);
  }
});

test("how many addresses are taken, and how many are left, is told from 1.52 on", async () => {
  await engine.ok(["network", "create", "--subnet", "10.231.7.0/24", "--ip-range", "10.231.7.128/25", "counted"]);
  await engine.ok(["run", "-d", "--network", "counted", "busybox", "sleep", "100"]);
  await engine.ok(["run", "-d", "--network", "counted", "--ip", "10.231.7.9", "busybox", "sleep", "100"]);
  const ask = async (version: string) =>
    (await askDocker<{ Status?: unknown }>(engine, "GET", `/v${version}/networks/counted`)).value.Status;
  expect(await ask("1.51")).toBeUndefined();
  // the network's own, the broadcast address, the gateway's and two containers', one of them in the range
  expect(await ask("1.52")).toEqual({ IPAM: { Subnets: { "10.231.7.0/24": { IPsInUse: 5, DynamicIPsAvailable: 126 } } } });
});

test("nothing is left", () => engine.expectClean());
