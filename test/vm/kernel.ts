/**
 * Debian's cloud kernels for the test VM: downloaded, unpacked below build/cache/vm, never installed.
 *
 * A kernel of the host's own suite comes with the host's apt configuration; one of another suite with a configuration of
 * its own (a sources file, package lists and cache in the cache directory), so the host's apt state is not touched.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Kernel {
  /** "6.12.107+deb13-cloud-amd64". */
  readonly release: string;
  readonly vmlinuz: string;
  /** The directory that holds modules.dep's tree (…/lib/modules/RELEASE). */
  readonly modules: string;
}

/** Suites by the name a caller asks for: an older kernel (loop-mounted EROFS) and a newer one (file-backed EROFS). */
export const suites = ["bookworm", "trixie"] as const;
export type Suite = (typeof suites)[number];

const META_PACKAGE = "linux-image-cloud-amd64";
const MIRROR = "http://deb.debian.org/debian";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * The newest cloud kernel of a suite, from the cache or downloaded (about 30 MB).
 * Throws with apt's own words when the package cannot be had.
 */
export function fetchKernel(suite: Suite, cache: string): Kernel {
  const home = join(cache, `kernel-${suite}`);
  if (!existsSync(home)) download(suite, home);
  return locate(home);
}

function download(suite: Suite, home: string): void {
  const work = `${home}.part`;
  rmSync(work, { recursive: true, force: true });
  const apt = join(work, "apt");
  mkdirSync(join(apt, "lists/partial"), { recursive: true });
  mkdirSync(join(apt, "cache/archives/partial"), { recursive: true });
  writeFileSync(join(apt, "sources.list"), `deb [signed-by=${KEYRING}] ${MIRROR} ${suite} main\n`);
  const options = [
    ["Dir::Etc::sourcelist", join(apt, "sources.list")],
    ["Dir::Etc::sourceparts", "-"],
    ["Dir::State::lists", join(apt, "lists")],
    ["Dir::Cache", join(apt, "cache")],
    ["APT::Sandbox::User", "root"],
  ].flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  capture(["apt-get", ...options, "-qq", "update"], work);
  const depends = capture(["apt-cache", ...options, "depends", META_PACKAGE], work);
  const image = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!image) throw new Error(`${META_PACKAGE} of ${suite} names no kernel image; apt-cache said: ${depends.trim()}`);
  capture(["apt-get", ...options, "-qq", "download", image], work);
  const deb = readdirSync(work).find((name) => name.endsWith(".deb"));
  if (!deb) throw new Error(`apt-get download ${image} left no .deb in ${work}`);
  capture(["dpkg-deb", "-x", deb, "root"], work);
  rmSync(apt, { recursive: true });
  rmSync(join(work, deb));
  renameSync(work, home);
}

function locate(home: string): Kernel {
  const boot = join(home, "root/boot");
  const vmlinuz = readdirSync(boot).find((name) => name.startsWith("vmlinuz-"));
  if (!vmlinuz) throw new Error(`no kernel in ${boot}; delete ${home} to download it again`);
  const release = vmlinuz.slice("vmlinuz-".length);
  const modules = ["lib/modules", "usr/lib/modules"]
    .map((dir) => join(home, "root", dir, release))
    .find((dir) => existsSync(dir));
  if (!modules) throw new Error(`no modules for ${release} in ${home}; delete it to download it again`);
  return { release, vmlinuz: join(boot, vmlinuz), modules };
}

/**
 * Files of the named modules and of all they depend on, in the order they must be loaded, relative to `kernel.modules`.
 * A name the kernel has built in (or does not have) yields nothing. Dependencies come from depmod(8).
 */
export function moduleFiles(kernel: Kernel, names: readonly string[]): string[] {
  const base = kernel.modules.replace(/\/lib\/modules\/[^/]+$/, "");
  if (!existsSync(join(kernel.modules, "modules.dep"))) capture(["depmod", "-b", base, kernel.release], base);
  const dependencies = new Map<string, string[]>();
  for (const line of capture(["cat", join(kernel.modules, "modules.dep")], base).split("\n")) {
    const [file, needs] = line.split(":");
    if (file) dependencies.set(file, needs?.trim().split(" ").filter(Boolean) ?? []);
  }
  const byName = new Map([...dependencies.keys()].map((file) => [moduleName(file), file]));
  const ordered = new Set<string>();
  for (const name of names) {
    const file = byName.get(moduleName(name));
    if (!file) continue;
    // modules.dep lists what a module needs from the nearest to the farthest.
    for (const needed of (dependencies.get(file) ?? []).toReversed()) ordered.add(needed);
    ordered.add(file);
  }
  return [...ordered];
}

const moduleName = (file: string): string =>
  file
    .replace(/^.*\//, "")
    .replace(/\.ko(\.\w+)?$/, "")
    .replaceAll("-", "_");

function capture(command: readonly string[], cwd: string): string {
  const result = Bun.spawnSync([...command], { cwd, stdout: "pipe", stderr: "pipe", env: { ...process.env, LC_ALL: "C" } });
  if (result.exitCode !== 0) {
    throw new Error(`${command.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim().slice(-400)}`);
  }
  return result.stdout.toString();
}
