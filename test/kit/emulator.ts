/**
 * Registers Debian's qemu-user with the kernel for as long as a test wants it. The entry is in binfmt_misc, which has one table
 * for the machine; it takes programs of its architecture only, has a name of its own, and from Linux 6.7 on goes with the mount of
 * the process that holds it.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Emulator {
  close(): Promise<void>;
}

/** `name` is qemu's for the architecture: "aarch64". `flags` are binfmt_misc's, Debian's unless told. */
export async function registerEmulator(name: string, flags?: string): Promise<Emulator> {
  const directory = mkdtempSync(join(tmpdir(), "onggi-binfmt-"));
  const conf = readFileSync(`/usr/lib/binfmt.d/qemu-${name}.conf`, "utf8").trim().split(":");
  const entry = `onggi-test-${process.pid}-${name}`;
  const line = ["", entry, ...conf.slice(2, 7), flags ?? conf[7]].join(":");
  const script = [
    `mount -t binfmt_misc onggi-test ${directory} || exit 1`,
    `printf '%s' "$1" > ${directory}/register || exit 1`,
    "echo ready; read -r _",
    `echo -1 > ${directory}/${entry}; umount ${directory}`,
  ];
  const child = Bun.spawn(["unshare", "-m", "--propagation", "private", "sh", "-c", script.join("\n"), "sh", line], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  const { value } = await child.stdout.getReader().read();
  if (!value) throw new Error(`qemu-${name} cannot be registered: ${await new Response(child.stderr).text()}`);
  return {
    async close() {
      child.stdin.write("\n");
      child.stdin.end();
      await child.exited;
      rmSync(directory, { recursive: true });
    },
  };
}

/** Why no emulator can be registered here; null when one can. */
export function emulatorUnavailable(name: string): string | null {
  if (!existsSync(`/usr/bin/qemu-${name}-static`)) return `qemu-${name}-static is not installed (scripts/setup test installs it)`;
  return readFileSync("/proc/filesystems", "utf8").includes("binfmt_misc") ? null : "this kernel has no binfmt_misc";
}
