/**
 * testcontainers for Node as its users have it: run by Node's own runner, with DOCKER_HOST, by ../testcontainers.test.ts.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { after, before, test } from "node:test";
import { GenericContainer, getContainerRuntimeClient, Network, type StartedTestContainer, Wait } from "testcontainers";

let files: string;
// the library's streams of logs do not keep a process alive
const awake = setInterval(() => {}, 1000);
before(() => {
  files = mkdtempSync(join(tmpdir(), "onggi-testcontainers-"));
});
after(() => {
  clearInterval(awake);
  rmSync(files, { recursive: true, force: true });
});

const idle = (): GenericContainer => new GenericContainer("busybox").withCommand(["sleep", "1000"]);
const httpd = (): GenericContainer =>
  new GenericContainer("busybox")
    .withCommand([
      "sh",
      "-c",
      "mkdir /www; echo hello > /www/index.html; httpd -p 8080 -h /www && echo serving && exec sleep 1000",
    ])
    .withExposedPorts(8080);

const page = async (container: StartedTestContainer, path = "/"): Promise<string> =>
  (await fetch(`http://${container.getHost()}:${container.getMappedPort(8080)}${path}`)).text();

/** Reads until it holds the text. */
async function until(stream: Readable, text: string): Promise<string> {
  let all = "";
  for await (const chunk of stream) {
    all += chunk;
    if (all.includes(text)) break;
  }
  return all;
}

test("waits for ports, a log line, HTTP, a command, health, an end", async () => {
  for (const strategy of [
    Wait.forListeningPorts(),
    Wait.forLogMessage("serving"),
    Wait.forHttp("/", 8080).forResponsePredicate((body) => body === "hello\n"),
    Wait.forSuccessfulCommand("wget -qO- localhost:8080"),
    Wait.forAll([Wait.forLogMessage(/serv.ng/), Wait.forListeningPorts()]),
  ]) {
    const container = await httpd().withWaitStrategy(strategy).start();
    assert.equal(await page(container), "hello\n");
    await container.stop();
  }
  const healthy = await httpd()
    .withHealthCheck({
      test: ["CMD-SHELL", "wget -qO- localhost:8080"],
      interval: 50,
      timeout: 1000,
      retries: 20,
    })
    .withWaitStrategy(Wait.forHealthCheck())
    .start();
  await healthy.stop();
  const once = await new GenericContainer("busybox")
    .withCommand(["sh", "-c", "echo did it"])
    .withWaitStrategy(Wait.forOneShotStartup())
    .start();
  assert.match(await until(await once.logs(), "did it"), /did it/);
  await once.stop();
});

test("a container that ends wrongly, or never says what is waited for, is a failed start", async () => {
  await assert.rejects(
    new GenericContainer("busybox").withCommand(["sh", "-c", "exit 3"]).withWaitStrategy(Wait.forOneShotStartup()).start(),
    /failed to start/,
  );
  await assert.rejects(idle().withWaitStrategy(Wait.forLogMessage("never")).withStartupTimeout(300).start(), /never/);
  await assert.rejects(new GenericContainer("127.0.0.1:9/no/such:image").start(), /127\.0\.0\.1:9/);
});

test("exec: output, exit code, user, directory, variables", async () => {
  await using container = await idle().withEnvironment({ A: "1" }).withWorkingDir("/tmp").start();
  const { output, stdout, stderr, exitCode } = await container.exec(["sh", "-c", "echo $A in $PWD; echo wrong >&2; exit 4"]);
  assert.deepEqual([stdout, stderr, exitCode], ["1 in /tmp\n", "wrong\n", 4]);
  assert.match(output, /1 in \/tmp/);
  const other = await container.exec(["sh", "-c", "id -u; pwd; echo $B"], { user: "1000", workingDir: "/etc", env: { B: "2" } });
  assert.equal(other.stdout, "1000\n/etc\n2\n");
});

test("files in, before the start and after, and out", async () => {
  const file = join(files, "file");
  writeFileSync(file, "of the host\n");
  await using container = await idle()
    .withCopyContentToContainer([{ content: "given\n", target: "/etc/given", mode: 0o640 }])
    .withCopyFilesToContainer([{ source: file, target: "/srv/file" }])
    .withCopyDirectoriesToContainer([{ source: files, target: "/all" }])
    .start();
  await container.copyContentToContainer([{ content: "late\n", target: "/late" }]);
  await container.copyFilesToContainer([{ source: file, target: "/later/file" }]);
  const { stdout } = await container.exec([
    "sh",
    "-c",
    "stat -c %a /etc/given; cat /etc/given /srv/file /all/file /late /later/file",
  ]);
  assert.equal(stdout, "640\ngiven\nof the host\nof the host\nlate\nof the host\n");
  const archive = await container.copyArchiveFromContainer("/late");
  const chunks: Buffer[] = [];
  for await (const chunk of archive) chunks.push(chunk as Buffer);
  const tar = Buffer.concat(chunks);
  assert.equal(tar.toString("latin1", 0, 4), "late");
  assert.equal(tar.toString("latin1", 512, 517), "late\n");
});

test("containers of a network find each other by alias and name", async () => {
  await using network = await new Network().start();
  await using server = await httpd().withNetwork(network).withNetworkAliases("web", "site").withName(`tc-${process.pid}`).start();
  await using client = await idle().withNetwork(network).start();
  for (const name of ["web", "site", `tc-${process.pid}`, server.getIpAddress(network.getName())]) {
    const { stdout, exitCode } = await client.exec(["wget", "-qO-", `${name}:8080`]);
    assert.deepEqual([stdout, exitCode], ["hello\n", 0]);
  }
  assert.ok(server.getNetworkNames().includes(network.getName()));
});

test("binds, tmpfs, limits, user, host names, privileges", async () => {
  await using container = await idle()
    .withBindMounts([{ source: files, target: "/bound", mode: "rw" }])
    .withTmpFs({ "/scratch": "rw,noexec,size=64k" })
    .withUser("1000:1000")
    .withHostname("celadon")
    .withExtraHosts([{ host: "jar", ipAddress: "192.0.2.7" }])
    .withUlimits({ nofile: { soft: 100, hard: 200 } })
    .withResourcesQuota({ memory: 0.0625, cpu: 1 })
    .withSharedMemorySize(1024 * 1024)
    .withAddedCapabilities("NET_ADMIN")
    .withDroppedCapabilities("MKNOD")
    .withLabels({ a: "b" })
    .start();
  const script = "hostname; id -u; ulimit -n; grep -c 192.0.2.7 /etc/hosts; df -k /scratch /dev/shm | awk 'NR > 1 { print $2 }'";
  assert.deepEqual((await container.exec(["sh", "-c", script])).stdout.trim().split("\n"), [
    "celadon",
    "1000",
    "100",
    "1",
    "64",
    "1024",
  ]);
  assert.equal(container.getLabels().a, "b");
  await container.exec(["sh", "-c", "echo in > /bound/written"], { user: "root" });
  assert.equal(readFileSync(join(files, "written"), "utf8"), "in\n");
  await using privileged = await idle().withPrivilegedMode().start();
  assert.equal((await privileged.exec(["sh", "-c", "mount -t tmpfs none /tmp"])).exitCode, 0);
});

test("restart and stop; ports are found again", async () => {
  const container = await httpd().withWaitStrategy(Wait.forListeningPorts()).withAutoRemove(false).start();
  const id = container.getId();
  await container.restart();
  assert.equal(container.getId(), id);
  assert.equal(await page(container), "hello\n");
  const stopped = await container.stop({ remove: false });
  const archive = await stopped.copyArchiveFromContainer("/www/index.html");
  archive.resume();
  await once(archive, "end");
  const { container: containers } = await getContainerRuntimeClient();
  await containers.remove(containers.getById(id));
});

test("logs as a stream and to a consumer", async () => {
  const consumed: string[] = [];
  await using container = await new GenericContainer("busybox")
    .withCommand(["sh", "-c", "echo first; echo second >&2; while sleep 0.05; do echo again; done"])
    .withLogConsumer((stream) => void stream.on("data", (line) => consumed.push(String(line))))
    .withWaitStrategy(Wait.forLogMessage("again", 3))
    .start();
  const text = await until(await container.logs({ tail: 1000 }), "again");
  assert.match(text, /first/);
  assert.match(text, /second/);
  assert.ok(consumed.join("").includes("again"));
});

test("the same container is used again", async () => {
  const reusable = () => idle().withLabels({ reused: "yes" }).withReuse();
  const one = await reusable().start();
  const two = await reusable().start();
  assert.equal(one.getId(), two.getId());
  await one.stop();
});

test("a container's image", async () => {
  const container = await idle().start();
  await container.exec(["sh", "-c", "echo kept > /kept"]);
  const id = await container.commit({ repo: "onggi-test/committed", tag: "1", deleteOnExit: false });
  await container.stop();
  await using copy = await new GenericContainer("onggi-test/committed:1").withCommand(["sleep", "1000"]).start();
  assert.equal((await copy.exec(["cat", "/kept"])).stdout, "kept\n");
  assert.match(id, /^sha256:/);
});

test("many containers at once", async () => {
  const containers = await Promise.all(Array.from({ length: 12 }, () => httpd().start()));
  const pages = await Promise.all(containers.map((container) => page(container)));
  assert.deepEqual(new Set(pages), new Set(["hello\n"]));
  const { port, host } = { port: containers[0]!.getMappedPort(8080), host: containers[0]!.getHost() };
  await Promise.all(containers.map((container) => container.stop()));
  const socket = connect(port, host);
  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNREFUSED");
});
