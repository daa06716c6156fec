/**
 * One attack of several CVEs: two containers share a volume. One exchanges a directory in it with a symbolic link that leads to
 * the host's tree as fast as it can, while others start with mounts whose targets lie below that name.
 */
import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Bundle, type TestRuntime, until } from "../../kit/bundle.ts";
import type { Change } from "../../kit/oci-spec.ts";
import { install, powerful } from "./kit.ts";

export interface Race {
  /** Mounts the shared volume at /v, then whatever `destination` and the source are. */
  victim(destination: string, script: string, source?: string): Bundle;
  end(): Promise<void>;
}

/** `linkTo` is where the exchanged link leads: a path as the host has it. */
export async function startRace(runtime: TestRuntime, name: string, linkTo: string): Promise<Race> {
  const volume = join(runtime.base, name);
  mkdirSync(join(volume, "target/inner"), { recursive: true });
  symlinkSync(linkTo, join(volume, "link"));
  const share: Change = (spec) => {
    spec.mounts!.push({ destination: "/v", source: volume, type: "bind", options: ["rbind", "rw"] });
  };
  const attacker = runtime.bundle(["/bin/swap", "/v/target", "/v/link"], share, powerful);
  install(attacker, "swap");
  const call = runtime.spawn(["run", "--bundle", attacker.directory, attacker.id], { timeout: 110_000 });
  await until(() => call.stdout().includes("up\n"), "the attack");
  return {
    victim: (destination, script, source) =>
      runtime.bundle(["sh", "-c", script], share, (spec) => {
        spec.mounts!.push(
          source
            ? { destination, source, type: "bind", options: ["bind", "rw"] }
            : { destination, source: runtime.tag, type: "tmpfs" },
        );
      }),
    end: async () => {
      await runtime.ok(["kill", attacker.id, "KILL"]);
      await call.done;
    },
  };
}
