/**
 * Network namespaces that a test makes, in this process: sockets, firewalls and programs are opened or started inside and then belong
 * there. All is gone with `close`, and in any case with the process.
 *
 *     const host = new Netns("host");
 *     host.cable("wan", outside, "eth0");
 *     host.address("wan", "192.0.2.1/24");
 *     serve(host, 80);
 *     await ask(outside, "192.0.2.1", 80);   // "host 192.0.2.2"
 */
import { writeFileSync } from "node:fs";
import { CLONE, close, IFA, inNamespace, O, open, Rtnetlink, setns, unshare } from "../../src/sys/index.ts";
import { slowness } from "./command.ts";

export class Netns implements Disposable {
  readonly name: string;
  readonly fd: number;
  readonly net: Rtnetlink;
  readonly #servers: { stop?(force?: boolean): void; close?(): void }[] = [];

  constructor(name: string) {
    this.name = name;
    const home = open("/proc/thread-self/ns/net", O.O_RDONLY);
    try {
      unshare(CLONE.CLONE_NEWNET);
      try {
        this.fd = open("/proc/thread-self/ns/net", O.O_RDONLY);
        this.net = new Rtnetlink();
      } finally {
        setns(home, CLONE.CLONE_NEWNET);
      }
    } finally {
      close(home);
    }
    this.net.linkUp("lo");
    // An address is there at once, not after a second of asking whether somebody has it.
    this.sysctl("ipv6/conf/default/accept_dad", 0);
  }

  /** Words before a command's own that have it run inside, as long as this process lives. */
  get enter(): string[] {
    return ["/usr/bin/nsenter", `--net=/proc/${process.pid}/fd/${this.fd}`];
  }

  /** Runs `work`, which must not await, in the namespace. */
  inside<T>(work: () => T): T {
    return inNamespace(this.fd, CLONE.CLONE_NEWNET, work);
  }

  /** Both ends of a cable, up. `master` is a bridge of this namespace. */
  cable(name: string, other: Netns, otherName: string, master?: string): void {
    const index = master === undefined ? {} : { master: this.net.requireLink(master).index };
    this.net.createVeth({ name, up: true, ...index }, { name: otherName, netns: { fd: other.fd } });
    other.net.linkUp(otherName);
  }

  bridge(name: string, ...prefixes: readonly string[]): void {
    this.net.createBridge({ name, up: true }, { stp: false, multicastSnooping: false });
    for (const prefix of prefixes) this.address(name, prefix);
  }

  address(link: string, prefix: string): void {
    this.net.addAddress({
      index: this.net.requireLink(link).index,
      prefix,
      ...(prefix.includes(":") ? { flags: IFA.IFA_F_NODAD } : {}),
    });
  }

  route(to: string, gateway: string): void {
    this.net.addRoute({ to, gateway });
  }

  /** "ipv4/ip_forward" */
  sysctl(name: string, value: string | number): void {
    this.inside(() => writeFileSync(`/proc/sys/net/${name}`, `${value}\n`));
  }

  /** Starts a program inside and waits for its end. */
  async run(...command: readonly string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
    const child = this.inside(() => Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" }));
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    return { exitCode: await child.exited, stdout, stderr };
  }

  /** As `run`; what it prints. @throws if it fails */
  async output(...command: readonly string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(...command);
    if (exitCode !== 0) throw new Error(`${this.name}: ${command.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Closed with the namespace. */
  keep(server: { stop?(force?: boolean): void; close?(): void }): void {
    this.#servers.push(server);
  }

  close(): void {
    for (const server of this.#servers) {
      server.stop?.(true);
      server.close?.();
    }
    this.net.close();
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const plain = (address: string | undefined): string => (address ?? "").replace(/^::ffff:/, "");

/** Answers every connection with the namespace's name and the caller's address, then echoes. */
export function serve(where: Netns, port: number, hostname = "::"): void {
  where.keep(
    where.inside(() =>
      Bun.listen({
        hostname,
        port,
        socket: {
          open: (socket) => void socket.write(`${where.name} ${plain(socket.remoteAddress)}\n`),
          data: (socket, bytes) => void socket.write(bytes),
        },
      }),
    ),
  );
}

/** The same by datagrams. */
export async function serveUdp(where: Netns, port: number, hostname = "0.0.0.0"): Promise<void> {
  where.keep(
    await where.inside(() =>
      Bun.udpSocket({
        hostname,
        port,
        socket: { data: (socket, _, from, address) => void socket.send(`${where.name} ${plain(address)}\n`, from, address) },
      }),
    ),
  );
}

const PATIENCE = 10_000 * slowness;
/** How long nothing must come until it counts as nothing. */
const SILENCE = 400;

/** One connection: the line that the server says, "refused", or "silence" after a while. */
export async function tryTcp(from: Netns, ip: string, port: number, wait = SILENCE): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let text = "";
  const refused = (error: unknown): void => resolve((error as { code?: string }).code === "ECONNREFUSED" ? "refused" : "silence");
  const connection = from.inside(() =>
    Bun.connect({
      hostname: ip,
      port,
      socket: {
        data(_, bytes) {
          text += bytes;
          if (text.endsWith("\n")) resolve(text.trim());
        },
        connectError: (_, error) => refused(error),
      },
    }),
  );
  connection.catch(refused);
  const timer = setTimeout(resolve, wait, "silence");
  const answer = await promise;
  clearTimeout(timer);
  void connection.then((socket) => socket.terminate()).catch(() => {});
  return answer;
}

/** The same by a datagram, from a port if one is told. */
export async function tryUdp(from: Netns, ip: string, port: number, wait = SILENCE, localPort = 0): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = await from.inside(() =>
    Bun.udpSocket({
      hostname: ip.includes(":") ? "::" : "0.0.0.0",
      port: localPort,
      socket: { data: (_, bytes) => resolve(bytes.toString().trim()), error: () => resolve("refused") },
    }),
  );
  socket.send("?", port, ip);
  const timer = setTimeout(resolve, wait, "silence");
  const answer = await promise;
  clearTimeout(timer);
  socket.close();
  return answer;
}

type Try = (from: Netns, ip: string, port: number, wait?: number) => Promise<string>;

/** Asks again and again until there is an answer: for what is to be reached, so that a slow machine does not matter. */
export async function ask(from: Netns, ip: string, port: number, attempt: Try = tryTcp): Promise<string> {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const answer = await attempt(from, ip, port, 1000);
    if ((answer !== "silence" && answer !== "refused") || Date.now() > end) return answer;
    await Bun.sleep(20);
  }
}
