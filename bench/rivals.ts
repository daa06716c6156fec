/** The engines that onggi is compared with, each private to the bench: own root, own run directory, same root file system. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Process, Spec } from "../src/oci/spec.ts";
import { busyboxArchive, makeBusyboxTree, sh } from "../test/kit/images.ts";
import { unmountBelow } from "../test/kit/leaks.ts";

export const DOCKER_IMAGE = "onggi-test/busybox:latest";

/** A bundle for runc: its own default configuration, without a terminal, running `true` in the same busybox tree. */
export interface Bundle {
  readonly command: (id: string) => readonly string[];
  readonly version: string;
}

export function runcBundle(base: string): Bundle {
  const bundle = join(base, "bundle");
  makeBundle(bundle, ["true"]);
  const root = join(base, "runc");
  return {
    command: (id) => ["/usr/sbin/runc", "--root", root, "run", "-b", bundle, id],
    version: sh(["runc", "--version"]).split("\n")[0]!.replace("runc version ", ""),
  };
}

/** A directory with the busybox tree and what `runc spec` writes, without a terminal. */
export function makeBundle(directory: string, args: readonly string[]): void {
  mkdirSync(directory, { recursive: true });
  makeBusyboxTree(join(directory, "rootfs"));
  sh(["runc", "spec"], { cwd: directory });
  const file = join(directory, "config.json");
  const spec = JSON.parse(readFileSync(file, "utf8")) as Spec & { process: Process };
  spec.process = { ...spec.process, terminal: false, args: [...args] };
  spec.root = { ...spec.root!, readonly: false };
  writeFileSync(file, JSON.stringify(spec));
}

export interface Crun {
  readonly path: string;
  /** What it is started under: nothing, or the way into a mount namespace in which it starts. */
  readonly under: readonly string[];
  readonly note: string;
  close(): void;
}

/**
 * crun, tried with a bundle of `true`; the reason, as a string, when it does not run here. It refuses cgroup v1 with controllers
 * in the v2 hierarchy beside it. There it is given a mount namespace that shows v1 alone.
 */
export async function crun(base: string, bundle: string): Promise<Crun | string> {
  const path = Bun.which("crun");
  if (!path) return "crun is not installed";
  const attempt = (under: readonly string[]) =>
    sh([...under, path, "--root", join(base, "crun"), "run", "-b", bundle, basename(base)]);
  try {
    attempt([]);
    return { path, under: [], note: "", close: () => {} };
  } catch (error) {
    if (!existsSync("/sys/fs/cgroup/unified")) return `crun does not run here: ${wordsOf(error)}`;
  }
  const view = await cgroupV1View(join(base, "cgroup"));
  const close = (): void => view.kill();
  try {
    const under = ["/usr/bin/nsenter", "--target", String(view.pid), "--mount"];
    attempt(under);
    return { path, under, note: "crun where it sees cgroup v1 alone", close };
  } catch (error) {
    close();
    return `crun does not run here: ${wordsOf(error)}`;
  }
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(-200);

/** A process in a mount namespace whose /sys/fs/cgroup has the v1 hierarchies only. The mounts go with the process. */
async function cgroupV1View(directory: string): Promise<Bun.Subprocess> {
  mkdirSync(directory, { recursive: true });
  const script = `set -e
mount -t tmpfs none "$1"
for entry in /sys/fs/cgroup/*; do
  name=\${entry##*/}
  if [ -L "$entry" ]; then cp -P "$entry" "$1/$name"
  elif [ -d "$entry" ] && [ "$name" != unified ]; then mkdir "$1/$name"; mount --bind "$entry" "$1/$name"; fi
done
mount --rbind "$1" /sys/fs/cgroup
touch "$1/ready"
exec sleep infinity`;
  const words = ["/usr/bin/unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", directory];
  const view = Bun.spawn(words, { stdio: ["ignore", "ignore", "ignore"] });
  const ready = `/proc/${view.pid}/root/sys/fs/cgroup/ready`;
  for (let tries = 0; tries < 500 && view.exitCode === null && !existsSync(ready); tries += 1) await Bun.sleep(10);
  return view;
}

export interface Podman {
  readonly command: (words: readonly string[]) => readonly string[];
  readonly version: string;
  close(): void;
}

/** By itself podman raises limits beyond the hard ones, for which CAP_SYS_RESOURCE may be missing. */
export const PODMAN_RUN = ["--rm", "--network", "none", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];

/** The reason, as a string, when podman does not run here. */
export function podman(base: string): Podman | string {
  if (!Bun.which("podman")) return "podman is not installed";
  const home = join(base, "podman");
  const flags = [
    ...["--root", join(home, "root"), "--runroot", join(home, "run"), "--tmpdir", join(home, "tmp")],
    ...["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "/usr/sbin/runc", "--storage-driver", "overlay"],
  ];
  const command = (words: readonly string[]): readonly string[] => ["/usr/bin/podman", ...flags, ...words];
  const close = (): void => {
    Bun.spawnSync([...command(["system", "reset", "-f"])], { stdout: "ignore", stderr: "ignore" });
    unmountBelow(home);
    rmSync(home, { recursive: true, force: true });
  };
  try {
    sh([...command(["load", "-q", "-i", busyboxArchive()])]);
    sh([...command(["run", ...PODMAN_RUN, DOCKER_IMAGE, "true"])]);
    return { command, version: sh(["podman", "--version"]).trim().replace("podman version ", ""), close };
  } catch (error) {
    close();
    return `podman does not run here: ${error instanceof Error ? error.message.slice(-200) : error}`;
  }
}
