/** Tools that scripts/setup-tools has unpacked beside the system. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { repository } from "./engine.ts";
import { skipLoudly } from "./skip.ts";

/** The path of one; null, said loudly, where it is not there. */
export function toolPath(name: string): string | null {
  const path = join(repository, "build/tools/bin", name);
  if (existsSync(path)) return path;
  skipLoudly(`${name} is not unpacked (scripts/setup-tools)`);
  return null;
}
