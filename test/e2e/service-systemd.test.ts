/** onggi as a service of a systemd that runs: in a VM (scripts/test-vm), as it is installed. The machine starts again after it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { eventually, repository } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";

const usable = process.env.ONGGI_IN_VM === "1" && existsSync("/run/systemd/system");
/** There after the machine has started again; `test/vm/disk.ts` sees to that. */
const isSecondBoot = existsSync("/rebooted");

function run(...command: string[]): { code: number; stdout: string; stderr: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: "/" });
  return { code: exitCode, stdout: stdout.toString().trimEnd(), stderr: stderr.toString() };
}

function ok(...command: string[]): string {
  const { code, stdout, stderr } = run(...command);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
  return stdout;
}

const onggi = (...words: string[]): string => ok("/usr/bin/onggi", ...words);
const stateOf = (unit: string): string => run("systemctl", "is-active", unit).stdout;
const write = (path: string, text: string): void => {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
};

describe.skipIf(!usable || isSecondBoot)("onggi.service", () => {
  beforeAll(async () => {
    ok("env", "PREFIX=/usr", join(repository, "scripts/install"));
    // this machine has no more of a boot than its tests need
    for (const unit of ["onggi.service", "onggi.socket", "onggi-docker.socket"])
      write(`/etc/systemd/system/${unit}.d/vm.conf`, "[Unit]\nDefaultDependencies=no\n");
    ok("systemctl", "daemon-reload");
    ok("systemctl", "start", "onggi.socket", "onggi-docker.socket");
  }, 300_000);

  test("the first call starts it", async () => {
    expect(stateOf("onggi.service")).toBe("inactive");
    expect(onggi("ps", "-q")).toBe("");
    await eventually("the service is active", () => stateOf("onggi.service") === "active");
    expect(ok("systemctl", "show", "-p", "StatusText", "--value", "onggi.service")).toBe("serves /run/onggi/onggi.sock");
    ok("systemctl", "stop", "onggi.service");
    expect(ok("curl", "-s", "--unix-socket", "/run/onggi/docker.sock", "http://docker/_ping")).toBe("OK");
  }, 300_000);

  test("containers run on when it stops, and the next one has them", async () => {
    await bootstrapBusybox({ ok: async (words: readonly string[]) => onggi(...words) } as never);
    onggi("run", "-d", "--name", "stays", "--restart", "always", "busybox", "sleep", "100000");
    const pid = onggi("inspect", "-f", "{{.State.Pid}}", "stays");
    ok("systemctl", "stop", "onggi.service");
    expect(readFileSync(`/proc/${pid}/comm`, "utf8")).toBe("sleep\n");
    expect(onggi("inspect", "-f", "{{.State.Pid}}", "stays")).toBe(pid);
    ok("systemctl", "restart", "onggi.service");
    expect(onggi("inspect", "-f", "{{.State.Pid}}", "stays")).toBe(pid);
  }, 300_000);

  test("reload takes what is written, and fails with what cannot be had", () => {
    write("/etc/onggi/engine.toml", 'labels = ["a=b"]\n');
    ok("systemctl", "reload", "onggi.service");
    expect(onggi("engine", "config", "--format", "{{.Name}} {{.Value}}")).toContain("labels a=b");
    write("/etc/onggi/engine.toml", "labels = 3\n");
    expect(run("systemctl", "reload", "onggi.service").code).not.toBe(0);
    expect(stateOf("onggi.service")).toBe("active");
    expect(ok("systemctl", "show", "-p", "StatusText", "--value", "onggi.service")).toContain("engine.toml: line 1");
    write("/etc/onggi/engine.toml", "");
  }, 300_000);

  test("a .container file is a service, with its volume and network", async () => {
    const web = `[Unit]
DefaultDependencies=no
[Container]
Image=busybox
Volume=data.volume:/data
Network=back.network
Exec=sh -c "echo there > /data/f; while :; do sleep 1; done"
HealthCmd=test -e /data/f
HealthInterval=1s
Notify=healthy
StopSignal=KILL
[Service]
TimeoutStartSec=200
`;
    write("/etc/onggi/systemd/web.container", web);
    write("/etc/onggi/systemd/data.volume", "[Unit]\nDefaultDependencies=no\n[Volume]\n");
    write("/etc/onggi/systemd/back.network", "[Unit]\nDefaultDependencies=no\n[Network]\nNetworkDeleteOnStop=yes\n");
    ok("systemctl", "daemon-reload");
    ok("systemctl", "start", "web.service");
    expect([stateOf("web.service"), stateOf("data-volume.service"), stateOf("back-network.service")]).toEqual([
      "active",
      "active",
      "active",
    ]);
    expect(onggi("inspect", "-f", "{{.State.Health.Status}}", "systemd-web")).toBe("healthy");
    ok("systemctl", "restart", "onggi.service");
    expect(stateOf("web.service")).toBe("active");
    ok("systemctl", "stop", "web.service");
    expect(onggi("ps", "-aq", "--filter", "name=systemd-web")).toBe("");
    expect(onggi("volume", "ls", "-q")).toBe("systemd-data");
    ok("systemctl", "stop", "back-network.service");
    expect(onggi("network", "ls", "-q", "--filter", "name=systemd-back")).toBe("");
  }, 300_000);

  afterAll(() => {
    // what `systemctl enable` does at a whole system's targets
    ok("systemctl", "add-wants", "onggi-test.target", "onggi.service");
    ok("systemctl", "stop", "onggi.service");
  });
});

describe.skipIf(!usable || !isSecondBoot)("after a boot", () => {
  test("systemd has started the engine, and that what is to run always", async () => {
    await eventually("the engine runs", () => stateOf("onggi.service") === "active", 100);
    await eventually("the container runs", () => onggi("ps", "-q", "--filter", "name=stays") !== "", 100);
    expect(onggi("inspect", "-f", "{{.State.Running}}", "stays")).toBe("true");
    onggi("rm", "-f", "stays");
  }, 300_000);
});
