import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";

export const command = define({
  usage: "[flags] etcd://[USER@]HOST[:PORT][,HOST...][/PREFIX]",
  summary: "share overlay networks with the other hosts of an etcd",
  flags: {
    name: text("", "NAME", "this host's name in the cluster (its own)"),
    address: text("", "ADDRESS", "where the other hosts reach this one (where etcd is reached from)"),
    ca: text("", "FILE", "who signed etcd's certificate, PEM; speaks TLS"),
    cert: text("", "FILE", "this host's certificate for etcd, PEM"),
    key: text("", "FILE", "its key, PEM"),
    "password-stdin": bool("", "read the user's password from standard input"),
    port: text("", "PORT", "UDP port of VXLAN, on all hosts the same (4789)", { rare: true }),
    "wireguard-port": text("", "PORT", "UDP port that encrypted networks use on this host (51820)", { rare: true }),
    "alive-for": text("", "SECONDS", "how long this host counts as up once it is silent (30)", { rare: true }),
    "addresses-for": text("", "SECONDS", "how long its addresses stay its own then (86400)", { rare: true }),
  },
  args: [1, 1],
  examples: [
    ["node join etcd://10.0.0.1:2379", "without authentication"],
    ["node join --ca ca.pem --cert me.pem --key my.key etcd://a,b,c", "three members, TLS"],
    ["node join --password-stdin etcd://onggi@10.0.0.1 < secret", "as a user of etcd"],
  ],
  async run(context, values, [url = ""]) {
    const [ca, cert, key] = await Promise.all([values.ca, values.cert, values.key].map((path) => pemOf(context, path)));
    const password = values["password-stdin"] ? (await new Response(context.stdin()).text()).replace(/\r?\n$/, "") : undefined;
    const node = await context.call("nodeJoin", {
      url: password === undefined ? url : withPassword(url, password),
      ...(values.name === undefined ? {} : { name: values.name }),
      ...(values.address === undefined ? {} : { address: values.address }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(values.port === undefined ? {} : { port: numberOf("--port", values.port) }),
      ...(values["wireguard-port"] === undefined ? {} : { sealPort: numberOf("--wireguard-port", values["wireguard-port"]) }),
      ...(values["alive-for"] === undefined ? {} : { aliveSeconds: numberOf("--alive-for", values["alive-for"]) }),
      ...(values["addresses-for"] === undefined ? {} : { addressSeconds: numberOf("--addresses-for", values["addresses-for"]) }),
    });
    await line(context.stdout, `this host is node ${node.name} (${node.address})`);
    return 0;
  },
});

async function pemOf(context: Context, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(resolve(context.cwd, path), "utf8");
  } catch (error) {
    throw new UsageError(`${path}: ${messageOf(error)}`);
  }
}

function withPassword(url: string, password: string): string {
  const [, scheme, user, rest] = /^(etcds?:\/\/)([^@/:]+)@(.*)$/s.exec(url) ?? [];
  if (user === undefined) throw new UsageError("--password-stdin needs a user, and no password, in the URL: etcd://USER@HOST");
  return `${scheme}${user}:${encodeURIComponent(password)}@${rest}`;
}

function numberOf(flag: string, given: string): number {
  if (/^\d{1,9}$/.test(given)) return Number(given);
  throw new UsageError(`${flag} ${given}: give a number`);
}
