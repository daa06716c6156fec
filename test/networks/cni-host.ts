/**
 * CNI networks with plugins of the test's: shell scripts that write down how they were called.
 *
 *     const host = new CniHost();
 *     host.plugin("main", 'echo "{}"');
 *     host.network({ cniVersion: "1.0.0", name: "web", plugins: [{ type: "main" }] });
 *     await host.cni.attach(host.request(container, "web"));
 *     host.calls();    // [{ CNI_COMMAND: "ADD", ..., config: {...} }]
 *     await host.close();
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CniAttachRequest, type CniEndpointRequest, CniNetworks } from "../../src/networks/cni/index.ts";
import type { Publication } from "../../src/networks/types.ts";
import { unmountBelow } from "../kit/leaks.ts";
import { Netns } from "../kit/netns.ts";

export interface Call {
  readonly plugin: string;
  readonly env: Readonly<Record<string, string>>;
  readonly config: Readonly<Record<string, unknown>>;
}

/** A result with one address, as a plugin prints it that keeps to the version it is told. */
export const result = (address: string, fields: object = {}): object => ({
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:05", sandbox: "/x" }],
  ips: [{ address, interface: 0 }],
  ...fields,
});

/** A script that prints `value` for ADD and nothing else. */
export const printing = (value: object): string => `[ "$CNI_COMMAND" != ADD ] || printf '%s' '${JSON.stringify(value)}'`;

export class CniHost {
  readonly base = mkdtempSync(join(tmpdir(), "onggi-cni-"));
  readonly configs = join(this.base, "net.d");
  readonly bin = join(this.base, "bin");
  readonly record = join(this.base, "calls");
  readonly directory = join(this.base, "cni");
  readonly run = join(this.base, "run");
  readonly log: string[] = [];
  readonly #namespaces: Netns[] = [];
  #cni: CniNetworks | null = null;
  #recovered: Promise<void> = Promise.resolve();

  constructor() {
    for (const directory of [this.configs, this.bin, this.record, this.run]) mkdirSync(directory);
  }

  /** As an engine has them that has started. */
  get cni(): CniNetworks {
    return this.#cni ?? this.open();
  }

  /** Another engine of the same root, as after kill -9. */
  async restart(running: readonly string[]): Promise<CniNetworks> {
    const cni = this.open(60_000, running);
    await this.#recovered;
    return cni;
  }

  open(timeoutMs = 60_000, running: readonly string[] = []): CniNetworks {
    this.#cni?.close();
    const cni = new CniNetworks({
      ...{ directory: this.directory, run: this.run, configDir: this.configs, binDirs: [join(this.base, "empty"), this.bin] },
      ...{ timeoutMs, log: (message: string) => this.log.push(message), nameOf: (id: string) => `container-${id}` },
    });
    this.#recovered = cni.recover(new Set(running));
    this.#cni = cni;
    return cni;
  }

  /** A plugin: standard input is read and written down before `body` runs, with the file in $CONFIG. */
  plugin(name: string, body: string): void {
    const script = [
      "#!/bin/sh",
      `CONFIG=$(mktemp ${this.record}/XXXXXXXX)`,
      'cat > "$CONFIG"',
      // one write each: calls of several plugins do not mix
      `(echo '--- ${name} '"$CONFIG"; env | grep ^CNI_ | sort) > "$CONFIG.env"`,
      `cat "$CONFIG.env" >> ${this.record}/log`,
      body,
    ];
    writeFileSync(join(this.bin, name), `${script.join("\n")}\n`, { mode: 0o755 });
  }

  network(list: { readonly name: string; readonly [field: string]: unknown }): void {
    writeFileSync(join(this.configs, `${list.name}.conflist`), JSON.stringify({ cniVersion: "1.0.0", ...list }));
  }

  container(name: string): { readonly id: string; readonly netns: Netns } {
    const netns = new Netns(name);
    this.#namespaces.push(netns);
    return { id: name, netns };
  }

  request(
    { id, netns }: { readonly id: string; readonly netns: Netns },
    networks: readonly (string | CniEndpointRequest)[],
    publish: readonly Publication[] = [],
  ): CniAttachRequest {
    const endpoints = networks.map((one) => (typeof one === "string" ? { network: `cni:${one}` } : one));
    return { container: id, netns: netns.fd, endpoints, publish, dns: { servers: [], searches: [], options: [] } };
  }

  /** All calls so far, and forgets them. */
  calls(): Call[] {
    const path = join(this.record, "log");
    if (!existsSync(path)) return [];
    const calls = readFileSync(path, "utf8").split("--- ").slice(1);
    rmSync(path);
    return calls.map((text) => {
      const [head = "", ...lines] = text.trimEnd().split("\n");
      const [plugin = "", config = ""] = head.split(" ");
      const env = Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2) as [string, string]));
      return { plugin, env, config: JSON.parse(readFileSync(config, "utf8") || "null") };
    });
  }

  /** "ADD main", in order, and forgets them. */
  commands(): string[] {
    return this.calls().map(({ plugin, env }) => `${env.CNI_COMMAND} ${plugin}`);
  }

  /** What is left on the disk of attachments, namespaces and running plugins. */
  left(): string[] {
    return [this.directory, join(this.run, "netns"), join(this.run, "cni")].flatMap((path) =>
      existsSync(path) ? readdirSync(path) : [],
    );
  }

  close(): void {
    this.#cni?.close();
    for (const netns of this.#namespaces) netns.close();
    unmountBelow(this.base);
    rmSync(this.base, { recursive: true });
  }
}
