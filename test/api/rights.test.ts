/** Who may do what: by uid, group and certificate, on every way into the engine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { Authority } from "../kit/authority.ts";
import { CommandLine } from "../kit/command.ts";
import { dockerClients } from "../kit/docker-api.ts";
import { type Engine, eventually, onggiCommand, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { freePort } from "../kit/registry.ts";

const client = dockerClients().at(-1);
let engine: Engine;
let port: number;
const at = (name: string): string => `${engine.base}/${name}`;

const GROUP = 64_900;
const RULES = `
[[clients]]
uid = 64901
role = "read"
[[clients]]
uid = 64902
role = "operate"
[[clients]]
gid = 64910
role = "read"
[[clients]]
certificate = "ann"
role = "read"
`;
const configure = (rules: string): void => writeFileSync(at("engine.toml"), `group = "${GROUP}"\n${rules}`);

beforeAll(async () => {
  engine = startEngine();
  mkdirSync(at("tls"));
  const authority = new Authority(at("tls"));
  authority.sign("server.", "/CN=engine", "subjectAltName=IP:127.0.0.1");
  for (const name of ["ann", "bob"]) authority.sign(`${name}.`, `/CN=${name}`, "extendedKeyUsage=clientAuth");
  port = await freePort();
  configure(RULES);
  const tls = ["--tlscacert", "tls/ca.crt", "--tlscert", "tls/server.crt", "--tlskey", "tls/server.key"];
  const more = ["--config", "engine.toml", "--read-only-socket", at("run/docker-ro.sock")];
  await engine.ok(["engine", "start", "--docker-host", `tcp://127.0.0.1:${port}`, ...tls, ...more]);
  await bootstrapBusybox(engine);
  await engine.ok(["run", "-d", "--name", "web", "busybox", "sleep", "1000"]);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** Somebody of this host who may open the sockets. */
const as = (uid: number, groups = `${GROUP}`): string[] => [
  ...["setpriv", `--reuid=${uid}`, `--regid=64999`, `--groups=${groups}`, "--"],
];
const env = () => ({ DOCKER_CONFIG: at("docker-config"), ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run });
const dockerAt = (socket: string, ...before: string[]): CommandLine =>
  new CommandLine([...before, client!, "-H", `unix://${at(socket)}`], { env: env(), cwd: "/" });
const onggiAs = (...before: string[]): CommandLine => new CommandLine([...before, ...onggiCommand], { env: env(), cwd: "/" });

describe.skipIf(client === undefined)("Docker's API", () => {
  const docker = (uid: number, groups?: string) => dockerAt("run/docker.sock", ...as(uid, groups));

  test("read sees, and changes nothing", async () => {
    expect(await docker(64_901).ok(["ps", "--format", "{{.Names}}"])).toBe("web");
    expect(await docker(64_901).ok(["inspect", "-f", "{{.Name}}", "web"])).toBe("/web");
    for (const words of [
      ["stop", "web"],
      ["exec", "web", "id"],
      ["cp", "web:/etc/hostname", "-"],
      ["rm", "-f", "web"],
    ]) {
      const { stderr, code } = await docker(64_901).run(words);
      expect([code === 0, stderr]).toEqual([false, expect.stringContaining("authorization denied")]);
    }
    expect((await docker(64_901).run(["run", "busybox", "id"])).stderr).toContain(
      'authorization denied: ContainerCreate needs the role "admin"; uid 64901 has "read"',
    );
  });

  test("operate stops and starts, and gets no command run", async () => {
    await docker(64_902).ok(["stop", "-t", "0", "web"]);
    await docker(64_902).ok(["start", "web"]);
    for (const words of [
      ["exec", "web", "id"],
      ["run", "-v", "/:/host", "busybox", "id"],
      ["attach", "web"],
      ["tag", "busybox", "x"],
    ])
      expect((await docker(64_902).run(words)).stderr).toMatch(/authorization denied|upgrade to tcp, received 403/);
  });

  test("a supplementary group counts; who fits no rule may do nothing; root anything", async () => {
    expect(await docker(64_903, `${GROUP},64910`).ok(["ps", "-q"])).not.toBe("");
    expect((await docker(64_903).run(["ps"])).stderr).toContain('ContainerList needs the role "read"; uid 64903 has none');
    expect(await dockerAt("run/docker.sock").ok(["exec", "web", "id", "-u"])).toBe("0");
    expect(readFileSync(`${engine.root}/engine.log`, "utf8")).toMatch(/uid 6490\d: authorization denied: /);
  });

  test("the read-only socket only tells, root too", async () => {
    const told = dockerAt("run/docker-ro.sock");
    expect(await told.ok(["ps", "--format", "{{.Names}}"])).toBe("web");
    expect((await told.run(["stop", "web"])).stderr).toContain("this socket is for read only");
    expect(await dockerAt("run/docker-ro.sock", ...as(64_903)).ok(["ps", "--format", "{{.Names}}"])).toBe("web");
  });

  test("certificates have roles of their own", async () => {
    const withCertificate = (name: string): CommandLine => {
      const tls = [
        "--tlsverify",
        "--tlscacert",
        at("tls/ca.crt"),
        "--tlscert",
        at(`tls/${name}.crt`),
        "--tlskey",
        at(`tls/${name}.key`),
      ];
      return new CommandLine([client!, ...tls, "-H", `tcp://127.0.0.1:${port}`], { env: env() });
    };
    expect(await withCertificate("ann").ok(["ps", "--format", "{{.Names}}"])).toBe("web");
    expect((await withCertificate("ann").run(["stop", "web"])).stderr).toContain('the certificate of "ann" has "read"');
    expect((await withCertificate("bob").run(["ps"])).stderr).toContain('the certificate of "bob" has none');
  });
});

test("onggi's own calls are asked the same", async () => {
  const onggi = onggiAs(...as(64_901));
  expect(await onggi.ok(["ps", "--format", "{{.Names}}"])).toBe("web");
  for (const words of [
    ["stop", "web"],
    ["exec", "web", "id"],
    ["save", "-o", "/x", "busybox"],
    ["engine", "stop"],
    ["create", "busybox"],
  ])
    expect((await onggi.run(words)).stderr).toContain('uid 64901 has "read"');
  const operator = onggiAs(...as(64_902));
  expect(await operator.ok(["restart", "-t", "0", "web"])).toBe("web");
  expect((await operator.run(["start", "-ai", "web"])).stderr).toContain("authorization denied: start");
});

test("rules are read anew while the engine runs", async () => {
  configure(RULES.replace("64901", "64904"));
  await engine.ok(["engine", "reload"]);
  await eventually("the rule is gone", async () =>
    (await onggiAs(...as(64_901)).run(["ps"])).stderr.includes("uid 64901 has none"),
  );
  expect(await onggiAs(...as(64_904)).ok(["ps", "-q"])).not.toBe("");
});

test("rules that are none keep the engine from starting, with the line", async () => {
  const other = startEngine();
  for (const rule of ['uid = -1\nrole = "read"', 'uid = 1\nrole = "root"', 'uid = 1\ngid = 2\nrole = "read"', 'role = "read"']) {
    writeFileSync(`${other.base}/engine.toml`, `debug = true\n[[clients]]\n${rule}\n`);
    const { stderr, code } = await other.onggi(["engine", "start", "--foreground", "--config", "engine.toml"]);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/engine\.toml: line 2: "clients" must be a list of tables/)]);
  }
  await other.close();
});
