/**
 * The CNI plugin as runtimes call it: variables, a configuration on standard input, JSON back.
 *
 *     const cni = new CniPlugin(engine, { network: "web" });
 *     const result = await cni.ok("ADD", pod, { runtimeConfig: { aliases: ["db"] } });
 */
import { join } from "node:path";
import { type CallResult, startCommand } from "./command.ts";
import { type Engine, repository } from "./engine.ts";
import type { Netns } from "./netns.ts";

export const PLUGIN = join(repository, "dist/onggi-cni");

export interface Pod {
  readonly id: string;
  /** Path of its namespace. */
  readonly netns: string;
  readonly interface?: string;
  /** CNI_ARGS */
  readonly args?: string;
}

/** A namespace of this process by a path, as long as it is open. */
export const podOf = (ns: Netns): Pod => ({ id: ns.name, netns: `/proc/${process.pid}/fd/${ns.fd}` });

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly { readonly name: string; readonly mac?: string; readonly sandbox?: string }[];
  readonly ips: readonly { readonly address: string; readonly gateway?: string; readonly interface: number }[];
  readonly routes: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns: { readonly nameservers?: readonly string[] };
}

export interface CniFailure {
  readonly code: number;
  readonly details: string;
}

export class CniPlugin {
  readonly #configuration: object;

  constructor(engine: Engine, configuration: object) {
    const own = { cniVersion: "1.1.0", name: "pods", type: "onggi-cni", socket: join(engine.run, "onggi.sock") };
    this.#configuration = { ...own, ...configuration };
  }

  run(command: string, pod: Pod, more: object = {}): Promise<CallResult> {
    const { id, netns, interface: name = "eth0", args } = pod;
    return startCommand([PLUGIN], {
      stdin: JSON.stringify({ ...this.#configuration, ...more }),
      env: {
        ...{ CNI_COMMAND: command, CNI_CONTAINERID: id, CNI_NETNS: netns, CNI_IFNAME: name, CNI_PATH: "/none" },
        ...(args === undefined ? {} : { CNI_ARGS: args }),
      },
    }).done;
  }

  /** What it prints. @throws unless it succeeds */
  async ok(command: string, pod: Pod, more: object = {}): Promise<CniResult> {
    const { code, stdout, stderr } = await this.run(command, pod, more);
    if (code !== 0) throw new Error(`${command} of ${pod.id}: ${stdout}${stderr}`);
    return stdout === "" ? (undefined as never) : JSON.parse(stdout);
  }

  /** The error it prints. @throws if it succeeds */
  async fails(command: string, pod: Pod, more: object = {}): Promise<CniFailure> {
    const { code, stdout } = await this.run(command, pod, more);
    if (code === 0) throw new Error(`${command} of ${pod.id} succeeds: ${stdout}`);
    return JSON.parse(stdout);
  }
}

/** "10.1.0.2", the first address of a result. */
export const addressOf = ({ ips }: CniResult): string => ips[0]!.address.replace(/\/\d+$/, "");

/** A shell command for a container: the last line of what a web server answers, which may have just been started. */
export const httpGet = (host: string): string =>
  `for i in $(seq 50); do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} 80 | tail -1 | grep . && break; sleep 0.1; done`;

/** The command of a container that answers with a text. */
export const httpServer = (text: string): string[] => [
  ...["sh", "-c", `mkdir -p /w; echo ${text} > /w/index.html; exec httpd -f -p 80 -h /w`],
];
