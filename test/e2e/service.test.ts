/** What systemd has of onggi, as far as it needs no systemd that runs: socket activation, sd_notify, services, the generator, install. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { close, isErrno, openDir, recvFds, SOCK, unixListen } from "../../src/sys/index.ts";
import { askDocker } from "../kit/docker-api.ts";
import { type Engine, eventually, onggiCommand, repository, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";
import { toolPath } from "../kit/tools.ts";

const scratch = mkdtempSync(join(tmpdir(), "onggi-service-"));
afterAll(() => rmSync(scratch, { recursive: true }));

/** Stands for systemd: hears what services tell it. */
class Manager {
  readonly path: string;
  readonly #directory = openDir(scratch);
  readonly #fd: number;
  readonly heard: string[] = [];

  constructor(name: string) {
    this.path = join(scratch, name);
    this.#fd = unixListen(this.#directory, name, 0, { type: SOCK.SOCK_DGRAM, nonblock: true });
  }

  /** The next message that begins so; those before are kept in `heard`. */
  async until(word: string): Promise<string> {
    let found = "";
    await eventually(`the service manager hears ${word}`, () => {
      const message = this.#next();
      if (message?.startsWith(word)) found = message;
      return found !== "";
    });
    return found;
  }

  #next(): string | undefined {
    try {
      this.heard.push(Buffer.from(recvFds(this.#fd, 4096).data).toString());
      return this.heard.at(-1);
    } catch (error) {
      if (isErrno(error, "EAGAIN")) return undefined;
      throw error;
    }
  }

  close(): void {
    close(this.#fd);
    close(this.#directory);
  }
}

describe("an engine by socket activation", () => {
  let engine: Engine;
  let manager: Manager;
  let activated: Bun.Subprocess | undefined;
  const has = Bun.which("systemd-socket-activate") !== null;
  if (!has) skipLoudly("systemd-socket-activate is not installed");

  beforeAll(async () => {
    engine = startEngine();
    manager = new Manager("notify");
    mkdirSync(engine.run, { recursive: true });
    if (!has) return;
    const sockets = ["onggi.sock", "docker.sock"].flatMap((name) => ["-l", join(engine.run, name)]);
    const env = [`NOTIFY_SOCKET=${manager.path}`, `ONGGI_ROOT=${engine.root}`, `ONGGI_RUN=${engine.run}`];
    activated = Bun.spawn(
      [
        "systemd-socket-activate",
        ...sockets,
        "--fdname=onggi:docker",
        ...env.flatMap((one) => ["-E", one]),
        ...onggiCommand,
        "engine",
        "start",
        "--foreground",
      ],
      { stdin: "ignore", stdout: "ignore", stderr: "ignore", cwd: "/" },
    );
    await eventually("it listens", () => existsSync(join(engine.run, "docker.sock")));
  }, 60_000);
  afterAll(async () => {
    await engine.close();
    manager.close();
    activated?.kill("SIGKILL");
  }, 60_000);

  test.skipIf(!has)(
    "the first request starts it, and is answered; so is the command line",
    async () => {
      expect(existsSync(join(engine.root, "engine.db"))).toBe(false);
      const { status } = await askDocker(engine, "GET", "/containers/json");
      expect(status).toBe(200);
      expect(await manager.until("READY=1")).toBe(`READY=1\nSTATUS=serves ${engine.run}/onggi.sock`);
      expect(await engine.pid()).toBe(activated?.pid as number);
      expect(await engine.ok(["ps", "-q"])).toBe("");
    },
    60_000,
  );

  test.skipIf(!has)(
    "a reload is told; what it runs knows nothing of systemd",
    async () => {
      await engine.ok(["engine", "reload"]);
      expect(await manager.until("RELOADING=1")).toMatch(/\nMONOTONIC_USEC=\d+$/);
      await manager.until("READY=1");
      const environment = readFileSync(`/proc/${await engine.pid()}/environ`, "utf8");
      expect(environment).toContain("LISTEN_FDS=2");
      await bootstrapBusybox(engine);
      await engine.ok(["run", "-d", "--name", "c", "busybox", "sleep", "60"]);
      expect(await engine.ok(["exec", "c", "env"])).not.toContain("LISTEN");
      await engine.ok(["rm", "-f", "c"]);
    },
    60_000,
  );

  test.skipIf(!has)(
    "it ends, and the sockets stay whose they are",
    async () => {
      await engine.ok(["engine", "stop"]);
      await manager.until("STOPPING=1");
      expect(await activated?.exited).toBe(0);
      expect(lstatSync(join(engine.run, "onggi.sock")).isSocket()).toBe(true);
      expect(lstatSync(join(engine.run, "docker.sock")).isSocket()).toBe(true);
    },
    60_000,
  );
});

describe("a container as a service", () => {
  let engine: Engine;
  let manager: Manager;
  beforeAll(async () => {
    engine = startEngine();
    manager = new Manager("notify-container");
    await bootstrapBusybox(engine);
  }, 60_000);
  afterAll(async () => {
    await engine.close();
    manager.close();
  }, 60_000);
  const serve = (...words: string[]) => engine.spawn(["run", ...words], { env: { NOTIFY_SOCKET: manager.path } });

  test("it is ready when it is healthy, lasts longer than the engine, and stops as the container does", async () => {
    const script = "trap 'echo bye; exit 7' TERM; echo begun; while sleep 0.2; do [ ! -e /say ] || { cat /say; rm /say; }; done";
    const health = ["--health-cmd", "test -e /ok", "--health-interval", "200ms"];
    const service = serve("--name", "s", "--sdnotify", "healthy", ...health, "busybox", "sh", "-c", script);
    await service.until("begun");
    expect(manager.heard).toEqual([]);
    await engine.ok(["exec", "s", "touch", "/ok"]);
    await manager.until("READY=1");
    await engine.murder();
    await engine.ok(["exec", "s", "sh", "-c", "echo again > /say"]);
    await service.until("again");
    service.process.kill("SIGTERM");
    const { code, stdout } = await service.done;
    expect([code, stdout]).toEqual([7, "begun\nagain\nbye\n"]);
    await manager.until("STOPPING=1");
    await engine.ok(["rm", "s"]);
  }, 60_000);

  test("one that ends by itself gives its exit code; what makes no service is refused", async () => {
    expect((await serve("--name", "e", "--sdnotify=started", "busybox", "sh", "-c", "echo x; exit 3").done).code).toBe(3);
    await engine.ok(["rm", "e"]);
    expect(await engine.onggi(["run", "--sdnotify=started", "-it", "busybox"])).toMatchObject({ code: 125 });
  }, 60_000);
});

/** Files that Podman's generator of Debian's trixie takes too. */
const podmans: Readonly<Record<string, string>> = {
  "web.container": `[Unit]
Description=The web
[Container]
Image=app.image
Volume=data.volume:/data:ro
Volume=./conf:/etc/app
Network=back.network:ip=10.1.0.5
Environment=A=1 "B=two words"
Mount=type=volume,source=logs.volume,target=/logs
Exec=serve "a b" --port 80
[Install]
WantedBy=multi-user.target default.target
`,
  "web.container.d/10.conf": "[Container]\nNetwork=\nNetwork=front.network\n",
  "data.volume": "[Volume]\nLabel=a=b\n",
  "logs.volume": "[Volume]\nServiceName=the-logs\n",
  "back.network": "[Network]\nSubnet=10.1.0.0/24\n",
  "front.network": "[Network]\n[Install]\nRequiredBy=x.target\n",
  "app.image": "[Image]\nImage=registry.example/app:1\n",
  "db.container": "[Container]\nImage=docker.io/library/db\nContainerName=mine\n[Install]\nAlias=base.service\n",
  "w@.container":
    "[Container]\nImage=docker.io/library/a\nExec=sleep %i\n[Install]\nWantedBy=multi-user.target\nDefaultInstance=7\n",
};

/** Links with where they lead; of services what they require, and the image with what it runs. */
function madeIn(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return entries
    .flatMap((entry) => {
      const path = join(entry.parentPath, entry.name);
      const name = path.slice(directory.length + 1);
      if (entry.isSymbolicLink()) return [`${name} -> ${readlinkSync(path)}`];
      const text = readFileSync(path, "utf8");
      const lines = text.match(/^(?:Requires=.*|RequiresMountsFor=\/.*|Type=.*|RemainAfterExit=.*|SyslogIdentifier=.*)$/gm) ?? [];
      const image = /^ExecStart=.* ((?:registry|docker)\S*.*)$/m.exec(text)?.[1] ?? "";
      return [...new Set([...lines, image])].map((line) => `${name} ${line}`);
    })
    .sort();
}

describe("the generator", () => {
  const units = join(scratch, "units");
  const write = (path: string, text: string): void => {
    mkdirSync(join(units, path, ".."), { recursive: true });
    writeFileSync(join(units, path), text);
  };

  test("what is made, enabled and required is what Podman's makes of the same files", () => {
    const quadlet = toolPath("quadlet");
    if (!quadlet) return;
    const both = join(scratch, "both");
    for (const [name, text] of Object.entries(podmans)) {
      mkdirSync(join(both, name, ".."), { recursive: true });
      writeFileSync(join(both, name), text);
    }
    const program = onggiCommand.length === 1 ? onggiCommand : [join(repository, "dist/onggi")];
    const [theirs, ours] = [[quadlet], [...program, "system", "generator"]].map((command, at) => {
      const target = join(scratch, `made-${at}`);
      mkdirSync(target);
      const { exitCode, stderr } = Bun.spawnSync([...command, target, target, target], { env: { QUADLET_UNIT_DIRS: both } });
      expect([exitCode, exitCode === 0 ? "" : stderr.toString()]).toEqual([0, ""]);
      return madeIn(target);
    });
    expect(ours).toEqual(theirs as never);
  }, 60_000);

  test("called as systemd calls it, it writes services and links, and says what is wrong", () => {
    write(
      "web.container",
      "[Container]\nImage=busybox\nVolume=data.volume:/d\nExec=httpd -f\n[Install]\nWantedBy=multi-user.target\n",
    );
    write("web.container.d/10-more.conf", "[Container]\nEnvironment=A=1\n");
    write("container.d/05-all.conf", "[Container]\nEnvironment=B=1\n");
    write("data.volume", "[Volume]\n");
    write("bad.container", "[Container]\nImage=busybox\nPod=p.pod\n");
    const program = onggiCommand.length === 1 ? (onggiCommand[0] as string) : join(repository, "dist/onggi");
    const link = join(scratch, "onggi-generator");
    symlinkSync(program, link);
    const target = join(scratch, "generated");
    mkdirSync(target);
    const { stderr, exitCode } = Bun.spawnSync([link, target, join(scratch, "early"), join(scratch, "late")], {
      env: { ONGGI_UNIT_DIRS: units },
    });
    expect([exitCode, stderr.toString()]).toEqual([
      1,
      `onggi-generator: ${units}/bad.container: line 3: Pod= cannot be had: there are no pods\n`,
    ]);
    expect(readdirSync(target).sort()).toEqual(["data-volume.service", "multi-user.target.wants", "web.service"]);
    expect(readlinkSync(join(target, "multi-user.target.wants/web.service"))).toBe("../web.service");
    const text = readFileSync(join(target, "web.service"), "utf8");
    expect(text).toContain(
      `ExecStart=${program} run --name systemd-%N --sdnotify=started -e B=1 -e A=1 -v systemd-data:/d busybox httpd -f\n`,
    );
    if (!Bun.which("systemd-analyze")) return;
    const verified = Bun.spawnSync([
      "systemd-analyze",
      "verify",
      "--man=no",
      join(target, "web.service"),
      join(target, "data-volume.service"),
    ]);
    expect(verified.stderr.toString()).not.toMatch(/(?:web|data-volume)\.service:\d+/);
  }, 60_000);
});

test("install puts everything in its place, and uninstall takes it away", () => {
  const root = join(scratch, "installed");
  const run = (what: string) =>
    Bun.spawnSync([join(repository, "scripts/install"), what], {
      env: { ...process.env, DESTDIR: root, PREFIX: "/usr", DOCKER: "1" },
    });
  const files = (): string[] =>
    readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory() && !entry.parentPath.includes("/doc/"))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length))
      .sort();
  expect(run("install")).toMatchObject({ exitCode: 0 });
  expect(files()).toEqual([
    "/opt/cni/bin/onggi-cni",
    ...["docker", "onggi", "onggi-runtime"].map((name) => `/usr/bin/${name}`),
    "/usr/lib/systemd/system-generators/onggi-generator",
    ...["onggi-docker.socket", "onggi.service", "onggi.socket"].map((name) => `/usr/lib/systemd/system/${name}`),
    "/usr/share/bash-completion/completions/onggi",
    "/usr/share/fish/vendor_completions.d/onggi.fish",
    "/usr/share/zsh/site-functions/_onggi",
  ]);
  expect(existsSync(join(root, "usr/share/doc/onggi/LICENSE"))).toBe(true);
  expect(readFileSync(join(root, "usr/lib/systemd/system/onggi.service"), "utf8")).toContain(
    "ExecStart=/usr/bin/onggi engine start --foreground\n",
  );
  expect(Bun.spawnSync([join(root, "usr/bin/docker"), "--help"]).stdout.toString()).toContain("onggi");
  writeFileSync(join(root, "usr/bin/other"), "");
  expect(run("install")).toMatchObject({ exitCode: 0 });
  expect(run("uninstall")).toMatchObject({ exitCode: 0 });
  expect(files()).toEqual(["/usr/bin/other"]);
}, 60_000);
