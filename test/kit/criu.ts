/**
 * criu(8) for tests. Debian's stable release before trixie has none that knows newer kernels: where none is installed, that of
 * trixie is downloaded with the libraries it needs, and unpacked below build/cache, never installed.
 */
import { existsSync, globSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf } from "../../src/lib/errors.ts";
import { unpackPackages } from "../vm/apt.ts";
import { repository } from "./engine.ts";
import { skipLoudly } from "./skip.ts";

const SUITE = "trixie";

/** The directory of a criu that works here, for $PATH; null: there is none, and why has been said. */
export function criuDirectory(): string | null {
  try {
    const installed = Bun.which("criu");
    const directory = installed ? dirname(installed) : fetchCriu(join(repository, "build/cache/criu"));
    const { success, stderr } = Bun.spawnSync([join(directory, "criu"), "check"], { stdin: "ignore", stdout: "ignore" });
    if (success) return directory;
    skipLoudly(`checkpoint and restore: criu does not work on this machine: ${stderr.toString().trim().slice(-400)}`);
  } catch (error) {
    skipLoudly(`checkpoint and restore: criu is not to be had: ${messageOf(error)}`);
  }
  return null;
}

function fetchCriu(home: string): string {
  const directory = join(home, "bin");
  if (existsSync(join(directory, "criu"))) return directory;
  mkdirSync(dirname(home), { recursive: true });
  if (!existsSync(home)) unpackPackages(SUITE, home, (apt) => packagesOf(apt.run("apt-cache", DEPENDS)));
  const loader = globSync("root/usr/lib/*/ld-linux-*.so.*", { cwd: home })[0];
  if (loader === undefined) throw new Error(`no dynamic loader in ${home}; delete it to download it again`);
  mkdirSync(directory, { recursive: true });
  // with the libraries of its own release, whatever the host's are
  const script = `#!/bin/sh
home=$(dirname "$0")/..
exec "$home/${loader}" --library-path "$home/${dirname(loader)}" "$home/root/usr/sbin/criu" "$@"
`;
  writeFileSync(join(directory, "criu"), script, { mode: 0o755 });
  return directory;
}

const DEPENDS = [
  "depends",
  "--recurse",
  ...["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"].map((kind) => `--no-${kind}`),
  "criu",
];

/** Names stand at the beginning of a line, what they depend on is indented. */
const packagesOf = (depends: string): string[] => [...new Set(depends.match(/^[a-z0-9][^\s]*$/gm))];
