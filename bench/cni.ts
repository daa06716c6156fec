/** The CNI plugin, called as a runtime calls it, next to the reference plugins `bridge` with `host-local`. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PLUGIN } from "../test/kit/cni.ts";
import { sh } from "../test/kit/images.ts";
import { type Contestant, interleave, median, type Samples } from "./measure.ts";
import type { Row } from "./report.ts";
import type { Field } from "./sections.ts";

const BRIDGE = "/usr/lib/cni/bridge";
const LINK = "ogbench0";

interface Side {
  readonly name: string;
  readonly plugin: string;
  /** Path of the configuration. */
  readonly configuration: string;
}

/** ADD into a new namespace, DEL out of one that goes on. */
export async function cni({ onggi, base }: Field, rounds: number): Promise<Row[]> {
  const sides: Side[] = [];
  const add = (name: string, plugin: string, more: object): void => {
    const configuration = join(base, `${name}.json`);
    writeFileSync(configuration, JSON.stringify({ cniVersion: "1.0.0", name: `bench-${name}`, ...more }));
    sides.push({ name, plugin, configuration });
  };
  if (onggi) {
    await onggi.ok(["network", "create", "--subnet", "10.186.0.0/16", "bench-cni"]);
    add("onggi", PLUGIN, { type: "onggi-cni", network: "bench-cni", socket: join(onggi.run, "onggi.sock") });
  }
  if (existsSync(BRIDGE)) {
    const ipam = {
      type: "host-local",
      subnet: "10.187.0.0/16",
      dataDir: join(base, "host-local"),
      routes: [{ dst: "0.0.0.0/0" }],
    };
    add("bridge", BRIDGE, { type: "bridge", bridge: LINK, isGateway: true, ipam });
  }
  try {
    const added = await interleave(sides.map(contestant("ADD")), rounds);
    const deleted = await interleave(sides.map(contestant("DEL")), rounds);
    return [row("CNI ADD", added), row("CNI DEL", deleted)];
  } finally {
    if (existsSync(`/sys/class/net/${LINK}`)) sh(["ip", "link", "del", LINK]);
    await onggi?.ok(["network", "rm", "bench-cni"]);
  }
}

const contestant =
  (measured: "ADD" | "DEL") =>
  ({ name, plugin, configuration }: Side): Contestant => {
    const id = (round: number): string => `ogbench-${name}-${round}`;
    const call = (command: string, round: number): string[] => [
      ...[
        "env",
        `CNI_COMMAND=${command}`,
        `CNI_CONTAINERID=${id(round)}`,
        `CNI_NETNS=/run/netns/${id(round)}`,
        "CNI_IFNAME=eth0",
      ],
      ...["CNI_PATH=/usr/lib/cni", "sh", "-c", `exec ${plugin} < ${configuration}`],
    ];
    return {
      name,
      before: (round) => {
        sh(["ip", "netns", "add", id(round)]);
        if (measured === "DEL") sh(call("ADD", round));
      },
      command: (round) => call(measured, round),
      after: (round) => {
        if (measured === "ADD") sh(call("DEL", round));
        sh(["ip", "netns", "del", id(round)]);
      },
    };
  };

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);

const row = (what: string, samples: Samples): Row => ({
  ...{ what, onggi: of(samples, "onggi"), other: of(samples, "bridge"), otherName: "bridge, host-local", unit: "ms", samples },
});
