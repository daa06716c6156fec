/** Names: answers of the resolver to one container, as many as it gives, and how long the slowest hundredth takes. */
import { join } from "node:path";
import { DnsService } from "../src/networks/dns/index.ts";
import { onggiCommand } from "../test/kit/engine.ts";
import { NameServer } from "../test/kit/nameserver.ts";
import { Netns } from "../test/kit/netns.ts";
import { median, quantile } from "./measure.ts";
import type { Row } from "./report.ts";

const ANSWERS = 20_000;
/** Questions under way at once. */
const UNDER_WAY = 8;
const SECONDS = 2;

export async function names(base: string, rounds: number): Promise<Row[]> {
  const run = join(base, "dns");
  using host = new Netns("host");
  using space = new Netns("container");
  const upstream = new NameServer({ addresses: ["192.0.2.1"], ttl: 3600 });
  await upstream.listen(host, "127.0.0.1");
  const command = ["nsenter", `--net=/proc/${process.pid}/fd/${host.fd}`, ...onggiCommand];
  const dns = new DnsService({ run, command, log: (message) => process.stderr.write(`bench: ${message}\n`) });
  const id = "a".repeat(64);
  dns.setNetwork({ id: "n", name: "net", internal: false, gateway4: null, gateway6: null });
  dns.join("n", { container: id, names: ["alpha"], ipv4: "10.0.0.2", ipv6: null });
  for (let index = 0; index < 1000; index++) {
    dns.join("n", { container: `${index}`.padStart(64, "b"), names: [`c${index}`], ipv4: `10.0.1.${index % 250}`, ipv6: null });
  }
  await dns.serve({ id, netns: space.fd, upstreams: ["127.0.0.1"], extraHosts: [] });
  try {
    const own = Array.from({ length: 500 }, (_, index) => `c${index}`);
    const cached = Array.from({ length: 500 }, (_, index) => `host${index}.example`);
    const rows: Row[] = [];
    for (const [what, asked] of [
      ["names of containers", own],
      ["cached answers", cached],
    ] as const) {
      const rates: number[] = [];
      const slowest: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const words = [join(import.meta.dirname, "dns-client.ts"), "127.0.0.11", String(SECONDS), String(UNDER_WAY), ...asked];
        const { rate, times } = JSON.parse(await space.output(process.execPath, ...words)) as { rate: number; times: number[] };
        rates.push(rate);
        slowest.push(quantile(times, 0.99));
      }
      rows.push(
        {
          what: `dns: ${what}`,
          onggi: median(rates),
          other: ANSWERS,
          otherName: "the bound",
          unit: "1/s",
          target: { atLeast: 1 },
        },
        {
          what: `dns: ${what}, 99 of 100 within`,
          onggi: median(slowest),
          other: null,
          otherName: "",
          unit: "ms",
          target: { absolute: 1 },
        },
      );
    }
    return rows;
  } finally {
    dns.forget(id);
    await dns.close();
  }
}
