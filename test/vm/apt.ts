/**
 * Debian packages of any suite, downloaded and unpacked below the cache, never installed.
 *
 * apt gets a configuration of its own (sources file, package lists and cache in the given directory), so that the host's state
 * is not touched and the host's suite does not matter.
 */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What a download works with: apt's commands under its own configuration. */
export interface Apt {
  /** Output of `apt-get` or `apt-cache` with these words. */
  run(tool: "apt-get" | "apt-cache", words: readonly string[]): string;
  /** Downloads packages as .deb files into the work directory. */
  download(packages: readonly string[]): void;
}

/**
 * Fills `home` once: `choose` names the packages, which are downloaded and unpacked over each other into `home/root`; those of
 * `architecture`, by Debian's name, or of this machine's. Throws with apt's own words when a package cannot be had; `home` is then
 * not there.
 */
export function unpackPackages(
  suite: string,
  home: string,
  choose: (apt: Apt) => readonly string[],
  architecture?: string,
): void {
  const work = `${home}.part`;
  rmSync(work, { recursive: true, force: true });
  const state = join(work, "apt");
  mkdirSync(join(state, "lists/partial"), { recursive: true });
  mkdirSync(join(state, "cache/archives/partial"), { recursive: true });
  writeFileSync(join(state, "sources.list"), `deb [signed-by=${KEYRING}] ${MIRROR} ${suite} main\n`);
  // Nothing counts as installed: what a package depends on is named whole.
  writeFileSync(join(state, "status"), "");
  const options = [
    ["Dir::Etc::sourcelist", join(state, "sources.list")],
    ["Dir::Etc::sourceparts", "-"],
    ["Dir::State::lists", join(state, "lists")],
    ["Dir::State::status", join(state, "status")],
    ["Dir::Cache", join(state, "cache")],
    ["APT::Sandbox::User", "root"],
    ...(architecture ? [["APT::Architecture", architecture]] : []),
  ].flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  const run: Apt["run"] = (tool, words) => capture([tool, ...options, "-qq", ...words], work);
  run("apt-get", ["update"]);
  const apt: Apt = { run, download: (packages) => void run("apt-get", ["download", ...packages]) };
  apt.download(choose(apt));
  const debs = readdirSync(work).filter((name) => name.endsWith(".deb"));
  if (debs.length === 0) throw new Error(`apt-get download left no .deb in ${work}`);
  for (const deb of debs) {
    capture(["dpkg-deb", "-x", deb, "root"], work);
    rmSync(join(work, deb));
  }
  rmSync(state, { recursive: true });
  renameSync(work, home);
}

/** Standard output of a command; throws with its complaint. */
export function capture(command: readonly string[], cwd: string): string {
  const result = Bun.spawnSync([...command], { cwd, stdout: "pipe", stderr: "pipe", env: { ...process.env, LC_ALL: "C" } });
  if (result.exitCode !== 0) {
    throw new Error(`${command.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim().slice(-400)}`);
  }
  return result.stdout.toString();
}
