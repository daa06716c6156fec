/**
 * A private sshd on a port of 127.0.0.1: own keys, own settings; nobody else gets in. `ssh` in its `bin` directory is the client that
 * reaches it as any host name, and in what it runs `onggi` and `docker` are the command under test, led to one engine.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { must } from "./authority.ts";
import { type Engine, eventually, onggiCommand } from "./engine.ts";
import { freePort } from "./registry.ts";
import { skipLoudly } from "./skip.ts";

const SSHD = "/usr/sbin/sshd";

/** Said loudly if there is none. */
export function hasSshd(): boolean {
  const there = existsSync(SSHD) && process.getuid?.() === 0;
  if (!there) skipLoudly("openssh-server is not installed");
  return there;
}

export class Sshd {
  readonly path = mkdtempSync(join(tmpdir(), "onggi-sshd-"));
  readonly #daemon: Bun.Subprocess;
  readonly #settings: readonly string[];
  #master: Bun.Subprocess | undefined;
  #masters: readonly number[] = [];

  private constructor(engine: Engine, port: number) {
    for (const key of ["host", "user"]) must(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.#at(key)]);
    // its own, which some machines make only when their sshd starts
    mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    mkdirSync(this.#at("remote"));
    this.#script("remote/onggi", `exec ${onggiCommand.join(" ")} "$@"`);
    symlinkSync("onggi", this.#at("remote/docker"));
    const variables = { PATH: `${this.#at("remote")}:/usr/bin:/bin`, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run };
    const config = [
      ...[`ListenAddress 127.0.0.1:${port}`, `HostKey ${this.#at("host")}`, `AuthorizedKeysFile ${this.#at("user.pub")}`],
      ...["StrictModes no", "UsePAM no", "PermitRootLogin yes", "PasswordAuthentication no", "PidFile none", "MaxSessions 100"],
      `SetEnv ${Object.entries(variables)
        .map(([name, value]) => `${name}=${value}`)
        .join(" ")}`,
    ];
    writeFileSync(this.#at("sshd_config"), `${config.join("\n")}\n`);
    this.#settings = [
      ...[`Port ${port}`, "HostName 127.0.0.1", `IdentityFile ${this.#at("user")}`, "IdentitiesOnly yes", "LogLevel ERROR"],
      ...["StrictHostKeyChecking no", `UserKnownHostsFile ${this.#at("known_hosts")}`, `ControlPath ${this.#at("master")}`],
    ];
    this.client("bin", []);
    const log = Bun.file(this.#at("log"));
    this.#daemon = Bun.spawn([SSHD, "-D", "-e", "-f", this.#at("sshd_config")], { stdin: "ignore", stdout: log, stderr: log });
  }

  /** Of an engine; waits until it answers. */
  static async start(engine: Engine): Promise<Sshd> {
    const sshd = new Sshd(engine, await freePort());
    await eventually("sshd answers", () => Bun.spawnSync([`${sshd.bin}/ssh`, "root@there", "true"]).exitCode === 0);
    // one connection carries all calls, as docs/remote.md advises
    sshd.#master = Bun.spawn([`${sshd.bin}/ssh`, "-M", "-N", "root@there"], {
      stdin: "ignore",
      stdout: "ignore",
      stderr: "ignore",
    });
    await eventually("the master listens", () => existsSync(sshd.#at("master")));
    sshd.#masters = sshd.#sessions();
    return sshd;
  }

  /** To be put before PATH. */
  get bin(): string {
    return this.#at("bin");
  }

  /** A directory like `bin`, whose user has these lines in the configuration of ssh. */
  client(name: string, lines: readonly string[]): string {
    const config = this.#at(`${name}.config`);
    writeFileSync(config, [...lines, ...this.#settings, ""].join("\n"));
    mkdirSync(this.#at(name));
    this.#script(`${name}/ssh`, `echo "$@" >> ${this.#at("calls")}\nexec /usr/bin/ssh -F ${config} "$@"`);
    return this.#at(name);
  }

  /** Says nothing any more on the connections that are open, but the master's, as if the network had gone; until it is told to. */
  freeze(): () => void {
    const frozen = this.#sessions().filter((pid) => !this.#masters.includes(pid));
    for (const pid of frozen) process.kill(pid, "SIGSTOP");
    return () => {
      for (const pid of frozen) process.kill(pid, "SIGCONT");
    };
  }

  #sessions(): number[] {
    return Bun.spawnSync(["pgrep", "-P", String(this.#daemon.pid)])
      .stdout.toString()
      .split("\n")
      .filter(Boolean)
      .map(Number);
  }

  /** The words `ssh` was called with so far, a line a call. */
  async calls(): Promise<string[]> {
    return (await Bun.file(this.#at("calls")).text()).trim().split("\n");
  }

  async stop(): Promise<void> {
    for (const process of [this.#master, this.#daemon]) {
      process?.kill("SIGTERM");
      await process?.exited;
    }
    rmSync(this.path, { recursive: true });
  }

  #script(name: string, text: string): void {
    writeFileSync(this.#at(name), `#!/bin/sh\n${text}\n`);
    chmodSync(this.#at(name), 0o755);
  }

  #at(name: string): string {
    return join(this.path, name);
  }
}
