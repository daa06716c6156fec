/** A namespace that stands for the host's, with resolvers that engines would start there, and `dig` in containers' namespaces. */
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DnsService } from "../../src/networks/dns/index.ts";
import { slowness } from "../kit/command.ts";
import { onggiCommand } from "../kit/engine.ts";
import { Netns } from "../kit/netns.ts";

export const containerId = (letter: string): string => letter.repeat(64);

/** A container, as far as names need one. */
export interface Member {
  readonly id: string;
  readonly ns: Netns;
}

export const member = (letter: string): Member => ({ id: containerId(letter), ns: new Netns(letter) });

export class DnsHost {
  readonly directory = mkdtempSync(join(tmpdir(), "onggi-dns-"));
  readonly run = join(this.directory, "run");
  /** The host's. */
  readonly resolvConf = join(this.directory, "resolv.conf");
  readonly ns = new Netns("host");
  /** What services logged. */
  readonly logged: string[] = [];

  constructor() {
    writeFileSync(this.resolvConf, "nameserver 127.0.0.1\n");
  }

  newService(run = this.run): DnsService {
    const command = [
      ...["nsenter", `--net=/proc/${process.pid}/fd/${this.ns.fd}`, "unshare", "--mount", "sh", "-c"],
      `mount --bind ${this.resolvConf} /etc/resolv.conf && exec "$@"`,
      ...["sh", ...onggiCommand],
    ];
    return new DnsService({ run, command, log: (message) => this.logged.push(message) });
  }

  /** The resolver's process, by the lock that it holds; 0: there is none. */
  resolverPid(run = this.run): number {
    for (const pid of readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name))) {
      try {
        const fds = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
        if (fds.includes(join(run, "resolver.lock"))) return Number(pid);
      } catch {
        // it has ended
      }
    }
    return 0;
  }

  async until(what: string, is: () => boolean): Promise<void> {
    const deadline = Date.now() + 15_000 * slowness;
    while (!is()) {
      if (Date.now() > deadline) throw new Error(`${what} did not come; logged: ${this.logged.join("\n")}`);
      await Bun.sleep(10);
    }
  }

  close(): void {
    this.ns.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Who is in the networks of these tests. */
export const cast = () => ({ alpha: member("a"), beta: member("b"), gamma: member("c"), inner: member("d") });

/** Says two networks, and who is in them, to a service. */
export function sayAll(service: DnsService, { alpha, beta, gamma, inner }: ReturnType<typeof cast>): void {
  service.setNetwork({ id: "web", name: "web", internal: false, gateway4: "10.1.0.1", gateway6: "fd00:1::1" });
  service.setNetwork({ id: "back", name: "back", internal: true, gateway4: "10.2.0.1", gateway6: null });
  service.join("web", { container: alpha.id, names: ["alpha", "www"], ipv4: "10.1.0.2", ipv6: null });
  service.join("web", { container: beta.id, names: ["beta", "www"], ipv4: "10.1.0.3", ipv6: "fd00:1::3" });
  service.join("web", { container: gamma.id, names: ["gamma"], ipv4: "10.9.0.3", ipv6: null });
  service.join("back", { container: inner.id, names: ["inner"], ipv4: "10.2.0.4", ipv6: null });
}

export interface Dug {
  readonly status: string;
  readonly flags: string;
  /** "TTL TYPE DATA" */
  readonly answers: readonly string[];
  readonly ms: number;
}

export async function dig(who: { readonly ns: Netns }, ...words: readonly string[]): Promise<Dug> {
  const started = performance.now();
  const { stdout } = await who.ns.run("dig", "@127.0.0.11", "+tries=1", `+timeout=${10 * slowness}`, ...words);
  const section = /ANSWER SECTION:\n((?:.+\n)*)/.exec(stdout)?.[1] ?? "";
  return {
    status: /status: (\w+)/.exec(stdout)?.[1] ?? stdout,
    flags: /flags: ([a-z ]*)/.exec(stdout)?.[1] ?? "",
    answers: section
      .split("\n")
      .filter((line) => line !== "")
      .map((line) =>
        line
          .split(/\s+/)
          .filter((_, at) => at !== 0 && at !== 2)
          .join(" "),
      ),
    ms: performance.now() - started,
  };
}

/** "TYPE DATA" of the answers. */
export const data = ({ answers }: Dug): string[] => answers.map((answer) => answer.split(" ").slice(1).join(" ")).sort();
