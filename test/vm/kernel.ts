/** Debian's cloud kernels for the test VM: downloaded, unpacked below build/cache/vm, never installed. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { capture, unpackPackages } from "./apt.ts";

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
  unpackPackages(suite, home, (apt) => {
    const depends = apt.run("apt-cache", ["depends", META_PACKAGE]);
    const image = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (!image) throw new Error(`${META_PACKAGE} of ${suite} names no kernel image; apt-cache said: ${depends.trim()}`);
    return [image];
  });
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
