import type { EngineFlags } from "./context.ts";
import { UsageError } from "./errors.ts";

/** What an engine is told of CNI. Throws UsageError. */
export function cniOptions({
  cniConfigDir,
  cniBinDir,
  cniTimeout,
}: Pick<EngineFlags, "cniConfigDir" | "cniBinDir" | "cniTimeout">): {
  configDir?: string;
  binDirs?: readonly string[];
  timeoutMs?: number;
} {
  const binDirs = (cniBinDir ?? "").split(":").filter((directory) => directory !== "");
  const seconds = Number(cniTimeout ?? "30");
  if (!(seconds > 0 && seconds <= 3600)) throw new UsageError(`--cni-timeout ${cniTimeout}: give seconds, at most 3600`);
  const wrong = [cniConfigDir, ...binDirs].find((directory) => directory !== undefined && !directory.startsWith("/"));
  if (wrong !== undefined) throw new UsageError(`CNI directory ${wrong}: an absolute path is needed`);
  return {
    ...(cniConfigDir === undefined ? {} : { configDir: cniConfigDir }),
    ...(binDirs.length === 0 ? {} : { binDirs }),
    timeoutMs: seconds * 1000,
  };
}
