/** dockerode, the client that most programs in JavaScript use, on docker.sock. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { PassThrough } from "node:stream";
import Docker from "dockerode";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

let engine: Engine;
let docker: Docker;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  docker = new Docker({ socketPath: `${engine.run}/docker.sock` });
}, 120_000);
afterAll(() => engine.close(), 120_000);
afterEach(async () => {
  for (const { Id } of await docker.listContainers({ all: true })) await docker.getContainer(Id).remove({ force: true, v: true });
  await docker.pruneNetworks();
  await docker.pruneVolumes({ filters: JSON.stringify({ all: ["true"] }) as never });
});

/** What a promise fails with. */
const failureOf = (promise: Promise<unknown>): Promise<{ statusCode?: number; json?: { message: string } }> =>
  promise.then(
    () => ({}),
    (error) => error,
  );

test("version, info, ping", async () => {
  expect((await docker.version()).ApiVersion).toBe("1.54");
  expect((await docker.info()).Driver).toBe("onggi");
  expect(String(await docker.ping())).toBe("OK");
});

test("annotations, streams, and what is hidden of /proc are as they were asked for", async () => {
  const create = (more: object) => docker.createContainer({ Image: "busybox", Cmd: ["true"], ...more });
  const asked = { Annotations: { "org.example/a": "b" }, MaskedPaths: ["/proc/kcore"], ReadonlyPaths: [] };
  const HostConfig = asked as Docker.HostConfig;
  const shown = await (await create({ AttachStderr: true, OpenStdin: true, HostConfig })).inspect();
  expect(shown.HostConfig).toMatchObject(asked);
  expect(shown.Config).toMatchObject({
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: true,
    OpenStdin: true,
    StdinOnce: false,
  });
  const usual = (await (await create({})).inspect()).HostConfig;
  expect(usual.MaskedPaths).toContain("/proc/kcore");
  expect(usual.ReadonlyPaths).toContain("/proc/sys");
  expect(usual).not.toHaveProperty("Annotations");
  expect((await (await create({ HostConfig: { Privileged: true } })).inspect()).HostConfig.MaskedPaths).toBeNull();
  const refused = await failureOf(create({ HostConfig: { Annotations: { "": "x" } } as Docker.HostConfig }));
  expect(refused).toMatchObject({ statusCode: 400, json: { message: expect.stringContaining("annotation key") } });
});

test("networks: made, joined, left, removed", async () => {
  const network = await docker.createNetwork({
    Name: "back",
    CheckDuplicate: true,
    Driver: "bridge",
    IPAM: { Driver: "default", Config: [{ Subnet: "10.231.21.0/24" }] },
    Labels: { a: "b" },
  });
  const container = await docker.createContainer({ Image: "busybox", Cmd: ["sleep", "1000"], name: "one" });
  await container.start();
  await network.connect({ Container: "one", EndpointConfig: { IPAMConfig: { IPv4Address: "10.231.21.7" }, Aliases: ["db"] } });
  const { Containers } = await network.inspect();
  expect(Containers[container.id]).toMatchObject({ Name: "one", IPv4Address: "10.231.21.7/24" });
  expect((await container.inspect()).NetworkSettings.Networks.back?.IPAddress).toBe("10.231.21.7");
  expect((await failureOf(network.remove())).statusCode).toBe(403);
  await network.disconnect({ Container: container.id });
  await network.remove();
  expect((await docker.listNetworks({ filters: { label: ["a=b"] } })).length).toBe(0);
  expect(await failureOf(network.inspect())).toMatchObject({
    statusCode: 404,
    json: { message: `network ${network.id} not found` },
  });
});

test("volumes: made, listed, in use, removed", async () => {
  await docker.createVolume({ Name: "data", Labels: { a: "b" } });
  const { Volumes } = await docker.listVolumes({ filters: { label: ["a=b"] } as never });
  expect(Volumes.map(({ Name }) => Name)).toEqual(["data"]);
  const HostConfig = { Mounts: [{ Type: "volume", Source: "data", Target: "/data" } as const] };
  const container = await docker.createContainer({ Image: "busybox", Cmd: ["true"], HostConfig });
  const volume = docker.getVolume("data");
  expect(await failureOf(volume.remove())).toMatchObject({
    statusCode: 409,
    json: { message: `remove data: volume is in use - [${container.id}]` },
  });
  await container.remove();
  await volume.remove();
  expect((await failureOf(volume.inspect())).statusCode).toBe(404);
});

test("a container's output, exit code and log; an exec", async () => {
  const script = "echo out; echo err >&2; exec sleep 1000";
  const container = await docker.createContainer({ Image: "busybox", Cmd: ["sh", "-c", script] });
  await container.start();
  const exec = await container.exec({
    Cmd: ["sh", "-c", "echo in; echo wrong >&2; exit 4"],
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream = await exec.start({});
  const [out, err] = [new PassThrough(), new PassThrough()];
  container.modem.demuxStream(stream, out, err);
  await new Promise((resolve) => stream.on("end", resolve));
  expect([String(out.read()), String(err.read())]).toEqual(["in\n", "wrong\n"]);
  expect((await exec.inspect()).ExitCode).toBe(4);
  const log = await container.logs({ stdout: true, stderr: true });
  expect(log.toString("latin1")).toContain("\x01\x00\x00\x00\x00\x00\x00\x04out\n");
  await container.kill();
  expect(await container.wait()).toMatchObject({ StatusCode: 137 });
});

test("what there is not", async () => {
  expect(await docker.listPlugins()).toEqual([]);
  expect(await failureOf(docker.listServices())).toMatchObject({ statusCode: 503 });
  expect(await failureOf(docker.swarmInit({}))).toMatchObject({ statusCode: 501 });
});

test("nothing is left", () => engine.expectClean());
