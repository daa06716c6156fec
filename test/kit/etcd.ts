/**
 * Debian's etcd in a directory of its own, on loopback or in a network namespace; alone or as a cluster. Ended by its pid.
 *
 *     await using etcd = await startEtcd({ tls: "mutual", auth: { user: "app", password: "pw" } });
 *     new Etcd(etcd.options);
 *     await etcd.kill();
 *     await etcd.up();
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EtcdOptions } from "../../src/networks/overlay/etcd/index.ts";
import { Authority } from "./authority.ts";
import { slowness } from "./command.ts";
import type { Netns } from "./netns.ts";
import { freePort } from "./registry.ts";

export interface EtcdServerOptions {
  /** "mutual": it wants to see a certificate too. */
  readonly tls?: true | "mutual";
  /** This user may read and write below /onggi/. There is also root with the password "root". */
  readonly auth?: { readonly user: string; readonly password: string };
  /** Of clients. Default: a free one. */
  readonly port?: number;
  /** Kept when it is closed. Default: one of its own, removed. */
  readonly dataDir?: string;
  /** Where it runs; on loopback unless it has an address there. */
  readonly netns?: Netns;
  readonly address?: string;
  /** More words for its command line. */
  readonly flags?: readonly string[];
}

interface Member {
  readonly name: string;
  readonly peer: number;
  /** "m0=http://127.0.0.1:4001,..." */
  readonly cluster: string;
}

export async function startEtcd(options: EtcdServerOptions = {}): Promise<EtcdServer> {
  const peer = await freePort();
  return EtcdServer.start(options, { name: "m0", peer, cluster: `m0=http://127.0.0.1:${peer}` });
}

/** Members that know each other, all of them up. */
export async function startEtcdCluster(count: number, options: EtcdServerOptions = {}): Promise<readonly EtcdServer[]> {
  const peers: number[] = [];
  while (peers.length < count) peers.push(await freePort());
  const cluster = peers.map((peer, at) => `m${at}=http://127.0.0.1:${peer}`).join(",");
  return Promise.all(peers.map((peer, at) => EtcdServer.start(options, { name: `m${at}`, peer, cluster })));
}

export class EtcdServer implements AsyncDisposable {
  readonly #path: string;
  readonly #options: EtcdServerOptions;
  readonly #member: Member;
  readonly #port: number;
  #child: Bun.Subprocess | null = null;

  private constructor(options: EtcdServerOptions, member: Member, port: number) {
    this.#path = mkdtempSync(join(tmpdir(), "onggi-etcd-"));
    this.#options = options;
    this.#member = member;
    this.#port = port;
  }

  static async start(options: EtcdServerOptions, member: Member): Promise<EtcdServer> {
    const server = new EtcdServer(options, member, options.port ?? (await freePort()));
    try {
      if (options.tls) {
        const authority = new Authority(server.#path);
        // etcd's gateway is a client of etcd with the same certificate: for both uses.
        authority.sign("server.", "/CN=etcd", `subjectAltName=IP:${server.#address}`);
        // With users, the gateway wants none of a common name.
        authority.sign("client.", "/O=onggi", "extendedKeyUsage=clientAuth");
        if (options.auth) authority.sign("named.", "/CN=client", "extendedKeyUsage=clientAuth");
      }
      await server.up();
      if (options.auth) await server.#setUp(options.auth);
      return server;
    } catch (error) {
      await server.close();
      throw error;
    }
  }

  get #address(): string {
    return this.#options.address ?? "127.0.0.1";
  }

  /** Of the directory with certificates, data and log. */
  file(name: string): string {
    return join(this.#path, name);
  }

  /** "http://127.0.0.1:4000" */
  get endpoint(): string {
    return `${this.#options.tls ? "https" : "http"}://${this.#address}:${this.#port}`;
  }

  /** "127.0.0.1:4000" */
  get host(): string {
    return `${this.#address}:${this.#port}`;
  }

  /** All that a client needs. */
  get options(): EtcdOptions {
    const { tls, auth } = this.#options;
    const text = (name: string): string => readFileSync(this.file(name), "utf8");
    return {
      endpoints: [this.endpoint],
      ...(auth ?? {}),
      ...(tls ? { ca: text("ca.crt") } : {}),
      ...(tls === "mutual" ? { cert: text("client.crt"), key: text("client.key") } : {}),
    };
  }

  get pid(): number {
    if (!this.#child) throw new Error("etcd is down");
    return this.#child.pid;
  }

  log(): string {
    return existsSync(this.file("log")) ? readFileSync(this.file("log"), "utf8") : "";
  }

  /** Runs etcdctl, of whom root is the user where there are any. @throws if it fails */
  async control(...words: readonly string[]): Promise<string> {
    return this.#control(["--user", "root:root"], words);
  }

  /** Starts it, on the data that there are; returns when it serves. */
  async up(): Promise<void> {
    const { netns, flags = [], dataDir = this.file("data") } = this.#options;
    const { name, peer, cluster } = this.#member;
    // Milliseconds. One that is alone has nobody to wait for.
    const electionTimeout = cluster.includes(",") ? 500 : 100;
    const peerUrl = `http://127.0.0.1:${peer}`;
    const words = [
      ...["etcd", "--name", name, "--data-dir", dataDir, "--logger", "zap", "--log-outputs", this.file("log")],
      ...["--listen-client-urls", this.endpoint, "--advertise-client-urls", this.endpoint],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl, "--initial-cluster", cluster],
      ...["--heartbeat-interval", String(electionTimeout / 10), "--election-timeout", String(electionTimeout)],
      ...this.#tlsFlags(),
      ...flags,
    ];
    rmSync(this.file("log"), { force: true });
    const spawn = (): Bun.Subprocess =>
      Bun.spawn(words, { stdin: "ignore", stdout: "ignore", stderr: Bun.file(this.file("errors")) });
    this.#child = netns ? netns.inside(spawn) : spawn();
    const deadline = Date.now() + 20_000 * slowness;
    // Said when it has found its place in the cluster and opens its doors.
    while (!this.log().includes("serving client traffic")) {
      if (this.#child.exitCode !== null || Date.now() > deadline) throw new Error(`etcd does not serve:\n${this.log()}`);
      await Bun.sleep(10);
    }
  }

  /** Ends it as a service manager does. Its data stay. */
  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  /** Ends it at once: every connection is broken. Its data stay. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  async restart(): Promise<void> {
    await this.kill();
    await this.up();
  }

  /** It says nothing any more, but its connections stay and new ones are made: as behind a broken cable. Waits until all threads stand. */
  freeze(): void {
    process.kill(this.pid, "SIGSTOP");
    const tasks = `/proc/${this.pid}/task`;
    const stands = (task: string): boolean => /\) [TtZX] /.test(readFileSync(`${tasks}/${task}/stat`, "utf8"));
    while (!readdirSync(tasks).every(stands)) Bun.sleepSync(1);
  }

  thaw(): void {
    process.kill(this.pid, "SIGCONT");
  }

  async close(): Promise<void> {
    await this.kill();
    rmSync(this.#path, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #tlsFlags(): string[] {
    const { tls } = this.#options;
    if (!tls) return [];
    const own = ["--cert-file", this.file("server.crt"), "--key-file", this.file("server.key")];
    return tls === "mutual" ? [...own, "--client-cert-auth", "--trusted-ca-file", this.file("ca.crt")] : own;
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill(signal);
    await child?.exited;
  }

  async #setUp({ user, password }: { user: string; password: string }): Promise<void> {
    const steps = [
      ["user", "add", "root:root"],
      ["user", "grant-role", "root", "root"],
      ["user", "add", `${user}:${password}`],
      ["role", "add", "onggi"],
      ["role", "grant-permission", "onggi", "--prefix=true", "readwrite", "/onggi/"],
      ["user", "grant-role", user, "onggi"],
      ["auth", "enable"],
    ];
    for (const words of steps) await this.#control([], words);
  }

  async #control(user: readonly string[], words: readonly string[]): Promise<string> {
    const { tls, netns } = this.#options;
    const trust = tls
      ? ["--cacert", this.file("ca.crt"), "--cert", this.file("client.crt"), "--key", this.file("client.key")]
      : [];
    const command = ["etcdctl", "--endpoints", this.endpoint, ...trust, ...user, ...words];
    const spawn = (): Bun.Subprocess<"ignore", "pipe", "pipe"> =>
      Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe", env: { ...process.env, ETCDCTL_API: "3" } });
    const child = netns ? netns.inside(spawn) : spawn();
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`etcdctl ${words.join(" ")}: ${stderr}`);
    return stdout;
  }
}
