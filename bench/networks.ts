/** Containers in networks against runc without any, and against a dockerd with its bridge in a network namespace of its own. */
import { dockerUnavailable, startDocker } from "../test/kit/docker.ts";
import { busyboxArchive } from "../test/kit/images.ts";
import { type Contestant, interleave, median, type Samples, time } from "./measure.ts";
import type { Row } from "./report.ts";
import { DOCKER_IMAGE } from "./rivals.ts";
import { type Field, onggi } from "./sections.ts";

const CONTAINERS = 100;
const WIDTH = 8;

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);

/** `run --rm true` on the default bridge, with a published port, and many with two ports each. */
export async function networks(field: Field, rounds: number): Promise<Row[]> {
  const missing = dockerUnavailable();
  const inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
  const daemon = missing ? null : await startDocker({ bridge: true, within: () => inside });
  try {
    daemon?.docker(["load", "-q", "-i", busyboxArchive()]);
    const sides = (words: readonly string[]): Contestant[] => [
      ...(field.onggi ? [onggi(field.onggi, ["run", "--rm", ...words, "busybox", "true"])] : []),
      ...(daemon
        ? [{ name: "docker", command: () => [daemon.cli, "run", "--rm", ...words, DOCKER_IMAGE, "true"], env: daemon.env }]
        : []),
    ];
    const runc: Contestant[] = field.runc
      ? [{ name: "runc, no network", command: (round) => field.runc!.command(`bench-net${round}`) }]
      : [];
    const plain = await interleave([...sides([]), ...runc], rounds);
    const published = await interleave(sides(["-p", "18080:80"]), rounds);
    const row = (what: string, samples: Samples, otherName: string, atMost: number): Row => ({
      what,
      ...{ onggi: of(samples, "onggi"), other: of(samples, otherName), otherName, unit: "ms", samples, target: { atMost } },
    });
    const batches = await many(sides(["-p", "80", "-p", "81"]), Math.max(3, Math.round(rounds / 10)));
    const rate = (name: string): number | null => {
      const ms = of(batches, name);
      return ms === null ? null : (CONTAINERS * 1000) / ms;
    };
    return [
      row("run --rm true on a bridge", plain, "runc, no network", 1),
      row("run --rm true on a bridge", plain, "docker", 0.08),
      row("the same with -p 18080:80", published, "docker", 0.08),
      {
        what: `${CONTAINERS} containers with two ports, ${WIDTH} at a time`,
        ...{
          onggi: rate("onggi"),
          other: rate("docker"),
          otherName: "docker",
          unit: "per s",
          samples: batches,
          target: { atLeast: 10 },
        },
      },
    ];
  } finally {
    await daemon?.stop();
  }
}

async function many(contestants: readonly Contestant[], rounds: number): Promise<Samples> {
  const samples: Samples = {};
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < contestants.length; turn += 1) {
      const { name, command, env } = contestants[(turn + round) % contestants.length]!;
      samples[name] = [...(samples[name] ?? []), time(command(0), { env: env!, runs: CONTAINERS, width: WIDTH })];
    }
  }
  return samples;
}
