/** engine.toml: an engine is started with it, says so, and does not start with a wrong one. */
import { afterEach, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";

let engine: Engine;
afterEach(() => engine.close(), 60_000);

const FORMAT = ["--format", "{{.Name}} {{.Value}} {{.From}}"];

test("flags win over the file, and config says by what each is set", async () => {
  engine = startEngine({ env: { ONGGI_RUNTIMES: "mine=/bin/true" } });
  const file = join(engine.base, "engine.toml");
  writeFileSync(file, 'cni-timeout = 7\ncni-config-dir = "/nowhere"\n[runtimes]\nother = "/bin/false"\n');
  await engine.ok(["engine", "start", "--config", file, "--cni-bin-dir", "/a:/b"]);
  const lines = (await engine.ok(["engine", "config", ...FORMAT])).split("\n");
  expect(lines).toContain(`cni-timeout 7 ${file}`);
  expect(lines).toContain(`cni-config-dir ${engine.base}/net.d environment`);
  expect(lines).toContain("cni-bin-dir /a:/b flag");
  expect(lines).toContain("runtimes.mine /bin/true environment");
  expect(lines).toContain(`runtimes.other /bin/false ${file}`);
  expect(await engine.ok(["system", "runtimes", "-q"])).toContain("other");
  const again = await engine.onggi(["engine", "start", "--config", file]);
  expect(again.stderr).toContain("it keeps the configuration it was started with");
}, 60_000);

test("a wrong file keeps it from starting, and says where it is wrong", async () => {
  engine = startEngine();
  const file = join(engine.base, "engine.toml");
  writeFileSync(file, '# mine\ncgroup-drive = "cgroupfs"\n');
  const { code, stderr } = await engine.onggi(["engine", "start", "--config", file]);
  expect(code).toBe(1);
  expect(stderr).toContain(`${file}: line 2: "cgroup-drive" is not known; "cgroup-driver"?`);
  const missing = await engine.onggi(["engine", "start", "--config", join(engine.base, "none.toml")]);
  expect(missing.stderr).toContain("none.toml: no such file");
}, 60_000);

test("daemon.json is read where it is named", async () => {
  engine = startEngine();
  const file = join(engine.base, "daemon.json");
  writeFileSync(
    file,
    JSON.stringify({ runtimes: { mine: { path: "/bin/true" } }, "exec-opts": ["native.cgroupdriver=cgroupfs"] }),
  );
  await engine.ok(["engine", "start", "--daemon-json", file]);
  expect(await engine.ok(["engine", "config", ...FORMAT])).toContain(`runtimes.mine /bin/true ${file}`);
}, 60_000);
