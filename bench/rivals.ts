/** The engines that onggi is compared with, each private to the bench: own root, own run directory, same root file system. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
  mkdirSync(bundle, { recursive: true });
  makeBusyboxTree(join(bundle, "rootfs"));
  sh(["runc", "spec"], { cwd: bundle });
  const file = join(bundle, "config.json");
  const spec = require(file) as { process: { terminal: boolean; args: string[] }; root: { readonly: boolean } };
  spec.process.terminal = false;
  spec.process.args = ["true"];
  spec.root.readonly = false;
  writeFileSync(file, JSON.stringify(spec));
  const root = join(base, "runc");
  return {
    command: (id) => ["/usr/sbin/runc", "--root", root, "run", "-b", bundle, id],
    version: sh(["runc", "--version"]).split("\n")[0]!.replace("runc version ", ""),
  };
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
