/** The OCI runtime against runc and crun: the same bundle, the same command line. */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { sh } from "../test/kit/images.ts";
import { type Contestant, interleave, median, peakMemory, repository, type Samples } from "./measure.ts";
import type { Row } from "./report.ts";
import { type Crun, crun, makeBundle } from "./rivals.ts";

const ONGGI = join(repository, "dist/onggi-runtime");
const RUNC = "/usr/sbin/runc";
const MIB = 1024 * 1024;

/** One runtime with a state root of its own. */
interface Runtime {
  readonly name: string;
  readonly under?: readonly string[];
  readonly command: (...words: readonly string[]) => readonly string[];
}

/** `run` and `exec` of `true` in milliseconds, and the peak memory of `create`. */
export async function ociRuntime(base: string, rounds: number): Promise<Row[]> {
  const missing = [ONGGI, RUNC].find((file) => !existsSync(file));
  if (missing)
    return [{ ...{ what: "onggi-runtime", otherName: "runc", unit: "ms", onggi: null, other: null }, note: `no ${missing}` }];
  const home = join(base, "oci");
  const [short, long] = [join(home, "true"), join(home, "sleep")];
  makeBundle(short, ["true"]);
  makeBundle(long, ["sleep", "100000"]);
  const runtime = (name: string, path: string, under?: readonly string[]): Runtime => ({
    name,
    command: (...words) => [path, "--root", join(home, name), ...words],
    ...(under ? { under } : {}),
  });
  const onggi = runtime("onggi-runtime", ONGGI);
  const runc = runtime("runc", RUNC);
  const rival = await crun(home, short);
  try {
    return [
      ...(await runTrue(short, onggi, runc, rival, runtime, rounds)),
      await execTrue(long, onggi, runc, rounds),
      createMemory(long, onggi, runc, Math.max(3, Math.round(rounds / 6))),
    ];
  } finally {
    if (typeof rival !== "string") rival.close();
    rmSync(home, { recursive: true });
  }
}

/** Part of the name of every container and cgroup of this bench, and of no other. */
const idOf = (bundle: string, what: string | number): string => `${basename(join(bundle, "../.."))}-${basename(bundle)}-${what}`;

async function runTrue(
  bundle: string,
  onggi: Runtime,
  runc: Runtime,
  rival: Crun | string,
  runtime: (name: string, path: string, under?: readonly string[]) => Runtime,
  rounds: number,
): Promise<Row[]> {
  const others = typeof rival === "string" ? [runc] : [runc, runtime("crun", rival.path, rival.under)];
  const contestants = [onggi, ...others].map(
    ({ name, command, under }): Contestant => ({
      name,
      command: (round) => command("run", "--bundle", bundle, idOf(bundle, round)),
      ...(under ? { under } : {}),
    }),
  );
  const samples = await interleave(contestants, rounds);
  const row = (otherName: string, atMost: number, note?: string): Row => ({
    ...{ what: "onggi-runtime run true", otherName, unit: "ms", samples, target: { atMost } },
    ...{ onggi: of(samples, onggi.name), other: of(samples, otherName) },
    ...(note ? { note } : {}),
  });
  return [row("runc", 0.5), row("crun", 1, typeof rival === "string" ? rival : rival.note)];
}

async function execTrue(bundle: string, onggi: Runtime, runc: Runtime, rounds: number): Promise<Row> {
  const id = idOf(bundle, "exec");
  const started: Runtime[] = [];
  try {
    for (const runtime of [onggi, runc]) {
      // its program holds the streams it is given: nobody may wait for their end
      const { exitCode } = Bun.spawnSync([...runtime.command("run", "--detach", "--bundle", bundle, `${id}-${runtime.name}`)], {
        stdio: ["ignore", "ignore", "ignore"],
      });
      started.push(runtime);
      if (exitCode !== 0) throw new Error(`${runtime.name} run --detach ended with ${exitCode}`);
    }
    const contestants = started.map(({ name, command }) => ({ name, command: () => command("exec", `${id}-${name}`, "true") }));
    const samples = await interleave(contestants, rounds);
    return {
      ...{ what: "onggi-runtime exec true", otherName: runc.name, unit: "ms", samples, target: { atMost: 0.5 } },
      ...{ onggi: of(samples, onggi.name), other: of(samples, runc.name) },
    };
  } finally {
    for (const { name, command } of started) sh(command("delete", "--force", `${id}-${name}`));
  }
}

/** Peak resident memory of the largest process: for onggi-runtime that is `onggi`, next to which the front is small. */
function createMemory(bundle: string, onggi: Runtime, runc: Runtime, rounds: number): Row {
  const directory = join(bundle, "pids");
  mkdirSync(directory);
  const peaks = ({ name, command }: Runtime): number[] =>
    Array.from({ length: rounds }, (_, round) => {
      const id = idOf(bundle, `${name}-${round}`);
      const file = join(directory, id);
      try {
        return peakMemory(command("create", "--bundle", bundle, "--pid-file", file, id), file);
      } finally {
        sh(command("delete", "--force", id));
      }
    });
  const [ours, theirs] = [onggi, runc].map((runtime) => median(peaks(runtime)) / MIB) as [number, number];
  return {
    ...{ what: "onggi-runtime create, peak memory", otherName: runc.name, unit: "MiB", target: { atMost: 1 } },
    ...{ onggi: ours, other: theirs, note: "resident, of the largest process" },
  };
}

const of = (samples: Samples, name: string): number | null => (samples[name]?.length ? median(samples[name]) : null);
