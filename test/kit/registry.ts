/**
 * A registry: Debian's docker-registry on loopback, in a directory of its own, with passwords and TLS where wanted. Ended by its
 * pid. Plain HTTP unless `tls`.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Authority, must } from "./authority.ts";
import { slowness } from "./command.ts";

export interface RegistryOptions {
  /** Who may: name and password. Absent: everybody. */
  readonly users?: Readonly<Record<string, string>>;
  readonly tls?: boolean;
  /** With TLS: it wants to see a certificate that its authority has signed, as `certificate` is. */
  readonly mutual?: boolean;
  /** Lines of the configuration, YAML, added at its end. */
  readonly config?: string;
}

/** A port of 127.0.0.1 that nobody listens at. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (typeof address === "object" && address ? resolve(address.port) : reject(new Error("no port"))));
    });
  });

export const sha256 = (data: string | Uint8Array): string => `sha256:${createHash("sha256").update(data).digest("hex")}`;

/** What a descriptor says of content. */
export interface Stored {
  readonly digest: string;
  readonly size: number;
}

export class Registry {
  /** "127.0.0.1:PORT", as it stands in an image's name. */
  readonly domain: string;
  /** Where it keeps things: `storage` is its driver's root. */
  readonly path: string;
  readonly #tls: boolean;
  #child: Bun.Subprocess | null = null;

  private constructor(path: string, port: number, tls: boolean) {
    this.path = path;
    this.domain = `127.0.0.1:${port}`;
    this.#tls = tls;
  }

  static async start(options: RegistryOptions = {}): Promise<Registry> {
    const path = mkdtempSync(join(tmpdir(), "onggi-registry-"));
    const registry = new Registry(path, await freePort(), options.tls ?? false);
    try {
      registry.#configure(options);
      await registry.up();
    } catch (error) {
      await registry.close();
      throw error;
    }
    return registry;
  }

  get url(): string {
    return `${this.#tls ? "https" : "http"}://${this.domain}`;
  }

  get storage(): string {
    return join(this.path, "storage");
  }

  /** The authority that signed its certificate, PEM. */
  get ca(): string {
    return join(this.path, "ca.crt");
  }

  /** A client's certificate and its key, PEM. */
  get certificate(): { readonly cert: string; readonly key: string } {
    return { cert: join(this.path, "client.crt"), key: join(this.path, "client.key") };
  }

  get pid(): number {
    if (!this.#child) throw new Error("the registry is down");
    return this.#child.pid;
  }

  /** What it wrote so far. */
  async log(): Promise<string> {
    return Bun.file(join(this.path, "log")).text();
  }

  /** Every blob it has, as hexadecimal digits. */
  blobs(): string[] {
    const folder = join(this.storage, "docker/registry/v2/blobs/sha256");
    return readdirSync(folder).flatMap((prefix) => readdirSync(join(folder, prefix)));
  }

  /** Where it keeps a blob's bytes. */
  blobFile(digest: string): string {
    const hex = digest.replace(/^sha256:/, "");
    return join(this.storage, "docker/registry/v2/blobs/sha256", hex.slice(0, 2), hex, "data");
  }

  /** How often blobs were fetched, whole or in part, so far. */
  async fetches(): Promise<number> {
    return ((await this.log()).match(/"GET [^"]*\/blobs\/sha256:[^"]*" 20[06]/g) ?? []).length;
  }

  /** Stores a blob, of a registry that everybody may write to. */
  async putBlob(repository: string, data: string | Uint8Array): Promise<Stored> {
    const { headers } = await fetch(`${this.url}/v2/${repository}/blobs/uploads/`, { method: "POST" });
    const location = new URL(headers.get("location")!, this.url);
    location.searchParams.set("digest", sha256(data));
    const { status } = await fetch(location, { method: "PUT", body: typeof data === "string" ? data : new Uint8Array(data) });
    if (status !== 201) throw new Error(`storing a blob in ${repository}: ${status}`);
    return { digest: sha256(data), size: Buffer.byteLength(data) };
  }

  /** Stores a document under a tag, or (null) under its digest. */
  async putManifest(repository: string, tag: string | null, mediaType: string, value: unknown): Promise<Stored> {
    const body = JSON.stringify(value);
    const url = `${this.url}/v2/${repository}/manifests/${tag ?? sha256(body)}`;
    const { status } = await fetch(url, { method: "PUT", headers: { "content-type": mediaType }, body });
    if (status !== 201) throw new Error(`storing a manifest in ${repository}: ${status}`);
    return { digest: sha256(body), size: Buffer.byteLength(body) };
  }

  /** Starts it on what is there; waits until it answers. */
  async up(): Promise<void> {
    const log = Bun.file(join(this.path, "log"));
    this.#child = Bun.spawn(["docker-registry", "serve", join(this.path, "config.yml")], {
      stdin: "ignore",
      stdout: log,
      stderr: log,
      env: { ...process.env, OTEL_TRACES_EXPORTER: "none" },
    });
    const deadline = Date.now() + 20_000 * slowness;
    for (;;) {
      if (this.#child.exitCode !== null || Date.now() > deadline)
        throw new Error(`docker-registry does not answer:\n${await this.log()}`);
      try {
        const { cert, key } = this.certificate;
        const own = existsSync(cert) ? { cert: Bun.file(cert), key: Bun.file(key) } : {};
        await fetch(`${this.url}/v2/`, { tls: { rejectUnauthorized: false, ...own } });
        return;
      } catch {
        await Bun.sleep(20);
      }
    }
  }

  /** Ends it, at once: every connection is broken. What it has stays. */
  async down(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    child?.kill("SIGKILL");
    await child?.exited;
  }

  async close(): Promise<void> {
    await this.down();
    rmSync(this.path, { recursive: true, force: true });
  }

  #configure({ users, mutual = false, config = "" }: RegistryOptions): void {
    const at = (name: string): string => join(this.path, name);
    const lines = [
      "version: 0.1",
      "log: {level: info, accesslog: {disabled: false}}",
      `storage: {filesystem: {rootdirectory: ${this.storage}}, delete: {enabled: true}}`,
    ];
    if (users) {
      const entries = Object.entries(users).map(([name, password]) =>
        must(["htpasswd", "-nbB", "-C", "4", name, password]).trim(),
      );
      writeFileSync(at("htpasswd"), `${entries.join("\n")}\n`);
      lines.push(`auth: {htpasswd: {realm: onggi, path: ${at("htpasswd")}}}`);
    }
    // Known to the next process too: uploads outlive a restart.
    const http = [`addr: "${this.domain}"`, "secret: onggi"];
    if (this.#tls) {
      const authority = new Authority(this.path);
      authority.sign("", "/CN=127.0.0.1", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:registry.test");
      if (mutual) authority.sign("client.", "/CN=client", "extendedKeyUsage=clientAuth");
      const clients = mutual ? `, clientcas: [${this.ca}]` : "";
      http.push(`tls: {certificate: ${at("crt")}, key: ${at("key")}${clients}}`);
    }
    lines.push(`http: {${http.join(", ")}}`);
    writeFileSync(at("config.yml"), `${lines.join("\n")}\n${config}`);
  }
}
