/** Clients that come by ssh: `docker -H ssh://`, and what is behind it, `onggi system dial-stdio`. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { CommandLine } from "../kit/command.ts";
import { dockerClients } from "../kit/docker-api.ts";
import { type Engine, eventually, onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { hasSshd, Sshd } from "../kit/sshd.ts";

const clients = dockerClients();
const there = hasSshd();
let engine: Engine;
let sshd: Sshd | undefined;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  if (there) sshd = await Sshd.start(engine);
}, 120_000);
afterAll(async () => {
  await sshd?.stop();
  await engine.close();
}, 120_000);
afterEach(async () => {
  const all = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (all.length > 0) await engine.ok(["rm", "-f", ...all]);
});

describe.skipIf(!there).each(clients.slice(-1))("%s -H ssh://", (client) => {
  const docker = (): CommandLine =>
    new CommandLine([client, "-H", "ssh://root@there"], {
      env: { DOCKER_CONFIG: `${engine.base}/docker-config`, PATH: `${sshd!.bin}:${process.env.PATH}` },
    });

  test("run -i: input that ends early, output that comes late, the exit code", async () => {
    const script = "cat; sleep 0.3; echo err >&2; head -c 3000000 /dev/zero; exit 3";
    const { stdout, stderr, code } = await docker().run(["run", "--rm", "-i", "busybox", "sh", "-c", script], {
      stdin: "x".repeat(1_000_000),
    });
    expect([stdout.length, stderr, code]).toEqual([4_000_000, "err\n", 3]);
  });

  test("attach, exec, logs -f", async () => {
    await docker().ok(["run", "-d", "--name", "talks", "busybox", "sh", "-c", "while :; do echo again; sleep 0.05; done"]);
    const calls = [docker().spawn(["attach", "--no-stdin", "talks"]), docker().spawn(["logs", "-f", "talks"])];
    for (const call of calls) await call.until("again\nagain");
    expect(await docker().ok(["exec", "-i", "talks", "cat"], { stdin: "in\n" })).toBe("in");
    await docker().ok(["kill", "talks"]);
    expect(await Promise.all(calls.map(async (call) => (await call.done).code))).toEqual([137, 0]);
  });
});

const ask = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;

describe("system dial-stdio", () => {
  test("carries requests; the end of its input ends the connection, and that of the connection ends it", async () => {
    const { stdout, code } = await engine.onggi(["system", "dial-stdio"], { stdin: ask("/_ping", "Connection: close\r\n") });
    expect([stdout.endsWith("\r\n\r\nOK"), code]).toEqual([true, 0]);
    const open = engine.spawn(["system", "dial-stdio"]);
    open.process.stdin.write(ask("/_ping", "Connection: close\r\n"));
    open.process.stdin.flush();
    expect((await open.done).stdout).toEndWith("\r\n\r\nOK");
    const idle = await engine.onggi(["system", "dial-stdio"], { stdin: "" });
    expect([idle.stdout, idle.code]).toEqual(["", 0]);
  });

  test("a stream that was taken over goes on when the input has ended", async () => {
    await engine.ok(["create", "-i", "--name", "slow", "busybox", "sh", "-c", "cat; sleep 0.3; echo late"]);
    const upgrade =
      "POST /containers/slow/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    const call = engine.spawn(["system", "dial-stdio"]);
    call.process.stdin.write(`${upgrade}typed\n`);
    call.process.stdin.flush();
    await call.until("101 UPGRADED");
    await engine.ok(["start", "slow"]);
    call.process.stdin.end();
    const { stdout, code } = await call.done;
    expect(stdout).toContain("typed\n");
    expect([stdout.endsWith("late\n"), code]).toEqual([true, 0]);
  });

  test("starts the engine, and finds a socket that is elsewhere", async () => {
    const other = startEngine({ env: { ONGGI_DOCKER_SOCKET: `${engine.base}/elsewhere.sock` } });
    const { stdout } = await other.onggi(["system", "dial-stdio"], { stdin: ask("/_ping", "Connection: close\r\n") });
    expect(stdout).toEndWith("\r\n\r\nOK");
    await other.close();
    const none = startEngine({ env: { ONGGI_DOCKER_SOCKET: "none" } });
    const { stderr, code } = await none.onggi(["system", "dial-stdio"], { stdin: "" });
    expect([stderr, code]).toEqual(["onggi: this engine serves Docker's API on no socket (docker-socket)\n", 125]);
    await none.close();
  });
});

describe.skipIf(!there)("onggi -H ssh://", () => {
  /** The command line of a host that has no engine. */
  const onggi = (): CommandLine =>
    new CommandLine(onggiCommand, {
      cwd: engine.base,
      env: { ONGGI_CONFIG_DIR: `${engine.base}/contexts`, PATH: `${sshd!.bin}:${process.env.PATH}`, NO_COLOR: "1" },
    });

  test("streams, exit codes, signals, a terminal", async () => {
    const far = (...words: string[]) => ["-H", "ssh://root@there", ...words];
    const script = "cat; sleep 0.3; echo err >&2; head -c 3000000 /dev/zero; exit 3";
    const { stdout, stderr, code } = await onggi().run(far("run", "--rm", "-i", "busybox", "sh", "-c", script), {
      stdin: "x".repeat(1_000_000),
    });
    expect([stdout.length, stderr, code]).toEqual([4_000_000, "err\n", 3]);
    const call = onggi().spawn(
      far("run", "--rm", "busybox", "sh", "-c", "trap 'exit 7' INT; echo up; while :; do sleep 0.05; done"),
    );
    await call.until("up");
    call.process.kill("SIGINT");
    expect((await call.done).code).toBe(7);
    const terminal = onggi().terminal(far("run", "-it", "--rm", "busybox", "sh"));
    await terminal.until("/ # ");
    terminal.write("exit 6\n");
    expect(await terminal.done).toBe(6);
  });

  test("files of this host travel", async () => {
    await onggi().ok(["context", "create", "far", "--docker", `host=ssh://root@there${engine.run}/onggi.sock`]);
    expect(await onggi().ok(["context", "use", "far"])).toBe("far");
    expect(await onggi().ok(["save", "-o", "there.tar", "busybox"])).toBe("");
    await engine.ok(["tag", "busybox", "kept"]);
    expect(await onggi().ok(["rmi", "busybox"])).toContain("Untagged");
    expect(await onggi().ok(["load", "-q", "-i", "there.tar"])).toContain("busybox:latest");
    await onggi().ok(["create", "--name", "one", "busybox"]);
    await onggi().ok(["export", "-o", "root.tar", "one"]);
    expect(await onggi().ok(["import", "root.tar", "copy"])).toStartWith("sha256:");
    expect(await onggi().ok(["volume", "import", "data", "root.tar"])).toBe("data");
    await onggi().ok(["cp", "root.tar", "one:/tmp/"]);
    await onggi().ok(["cp", "one:/tmp/root.tar", "back.tar"]);
    expect(Bun.file(`${engine.base}/back.tar`).size).toBe(Bun.file(`${engine.base}/root.tar`).size);
    for (const words of [
      ["image", "mount", "busybox", "dir"],
      ["engine", "logs"],
      ["save", "--format", "oci-dir", "-o", "x", "busybox"],
    ])
      expect(await onggi().run(words)).toMatchObject({ code: 125, stderr: expect.stringMatching(/host/) });
    expect(await onggi().run(["engine", "start"])).toMatchObject({
      code: 125,
      stderr: "onggi: an engine is started on its own host: log in there\n",
    });
    await engine.ok(["volume", "rm", "data"]);
    await onggi().ok(["context", "use", "default"]);
  });

  test("a client that is killed is gone there, too; hosts that cannot be reached are told", async () => {
    const call = onggi().spawn(["--context", "far", "run", "--name", "held", "-i", "busybox", "cat"]);
    await eventually(
      "it runs",
      async () => (await engine.onggi(["inspect", "-f", "{{.State.Running}}", "held"])).stdout === "true\n",
    );
    call.process.kill("SIGKILL");
    await eventually(
      "its input has ended",
      async () => (await engine.ok(["inspect", "-f", "{{.State.Running}}", "held"])) === "false",
    );
    const bin = `${engine.base}/no-ssh`;
    mkdirSync(bin);
    writeFileSync(`${bin}/ssh`, "#!/bin/sh\necho no route >&2; exit 255\n", { mode: 0o755 });
    expect(await onggi().run(["-H", "ssh://there:1", "ps"], { env: { PATH: bin } })).toMatchObject({
      ...{ code: 1, stdout: "" },
      stderr: "no route\nonggi: no engine answers on ssh://there:1 (Error: ssh ended with exit code 255)\n",
    });
    const nowhere = await onggi().run(["-H", `ssh://root@there${engine.base}/none.sock`, "ps"]);
    expect(nowhere.stderr).toContain(`no engine answers on ${engine.base}/none.sock (ENOENT)`);
    expect(nowhere.code).toBe(1);
  });

  test("a network that silently goes ends the call, after the time that the user's ssh is set to, else 90 s", async () => {
    const asked = async (): Promise<string[]> => (await sshd!.calls()).filter((words) => words.includes("--control"));
    await onggi().ok(["-H", "ssh://root@there", "ps", "-q"]);
    expect((await asked()).at(-1)).toStartWith("-T -o ConnectTimeout=30 -o ServerAliveInterval=30 -l root -- there ");
    const bin = sshd!.client("impatient", [
      "ServerAliveInterval 1",
      "ServerAliveCountMax 2",
      "ControlPath none",
      "LogLevel INFO",
    ]);
    const words = ["-H", "ssh://root@there", "run", "--rm", "-i", "busybox", "sh", "-c", "echo up; cat"];
    const call = onggi().spawn(words, { env: { PATH: `${bin}:${process.env.PATH}` } });
    await call.until("up");
    expect((await asked()).at(-1)).toStartWith("-T -o ConnectTimeout=30 -l root -- there ");
    const thaw = sshd!.freeze();
    try {
      const { code, stderr } = await call.done;
      expect([code, stderr]).toEqual([
        125,
        "Timeout, server 127.0.0.1 not responding.\r\n" +
          'onggi: the connection was lost during "run" (ssh ended with exit code 255); containers run on, see onggi ps\n',
      ]);
    } finally {
      thaw();
    }
    await eventually("the other end has noticed, too", async () => (await engine.ok(["ps", "-aq"])) === "");
  });

  test("a socket that is named is of an engine that runs", async () => {
    expect(await onggi().ok(["-H", `unix://${engine.run}/onggi.sock`, "ps", "-aq"])).toBe("");
    const none = await onggi().run(["-H", `unix://${engine.base}/none.sock`, "ps"]);
    expect(none).toMatchObject({ code: 1, stderr: expect.stringContaining("none.sock (ENOENT)") });
  });

  test("contexts: what Docker's command says", async () => {
    const { stdout, stderr } = await onggi().run([
      "context",
      "create",
      "other",
      "--description",
      "the fast one",
      "--docker",
      "host=ssh://a",
    ]);
    expect([stdout, stderr]).toEqual(["other\n", 'Successfully created context "other"\n']);
    expect(await onggi().ok(["context", "ls", "--format", "{{.Name}} {{.DockerEndpoint}} {{.Current}}"])).toBe(
      `default unix:///run/onggi/onggi.sock true\nfar ssh://root@there${engine.run}/onggi.sock false\nother ssh://a false`,
    );
    expect(await onggi().ok(["--context", "other", "context", "show"])).toBe("other");
    expect(await onggi().ok(["context", "inspect", "-f", "{{.Metadata.Description}} {{.Endpoints.docker.Host}}", "other"])).toBe(
      "the fast one ssh://a",
    );
    await onggi().ok(["context", "update", "other", "--docker", "host=ssh://b"]);
    await onggi().ok(["context", "export", "other"]);
    expect(await onggi().ok(["context", "import", "third", "other.dockercontext"])).toBe("third");
    expect(await onggi().ok(["context", "inspect", "-f", "{{.Name}} {{.Endpoints.docker.Host}}", "third"])).toBe("third ssh://b");
    await onggi().ok(["context", "use", "third"]);
    expect(await onggi().run(["context", "rm", "third", "other"])).toMatchObject({
      ...{ stdout: "other\n", code: 1 },
      stderr: 'onggi: context "third" is in use, set -f flag to force remove\n',
    });
    expect(await onggi().ok(["context", "rm", "-f", "third"])).toBe("third");
    expect(await onggi().ok(["context", "show"])).toBe("default");
    expect((await onggi().run(["--context", "third", "ps"])).stderr).toContain('context "third": not found');
  });

  test("docker's own contexts can be imported, and it imports ours", async () => {
    const docker = new CommandLine([clients[0]!], { cwd: engine.base, env: { DOCKER_CONFIG: `${engine.base}/docker-config` } });
    await docker.ok(["context", "create", "theirs", "--docker", "host=ssh://ann@there"]);
    await docker.ok(["context", "export", "theirs"]);
    await onggi().ok(["context", "import", "theirs", "theirs.dockercontext"]);
    expect(await onggi().ok(["context", "inspect", "-f", "{{.Endpoints.docker.Host}}", "theirs"])).toBe("ssh://ann@there");
    await docker.ok(["context", "import", "ours", "other.dockercontext"]);
    expect(await docker.ok(["context", "inspect", "-f", "{{.Endpoints.docker.Host}}", "ours"])).toBe("ssh://b");
  });
});

test("nothing is left", () => engine.expectClean());
