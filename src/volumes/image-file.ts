/** Image files of fixed size with a file system in them. */
import { closeSync, fsyncSync, ftruncateSync, openSync, renameSync, rmSync } from "node:fs";
import { OnggiError } from "../lib/errors.ts";

const programs = {
  ext4: {
    argv: ["mke2fs", "-t", "ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,root_owner=0:0"],
    package: "e2fsprogs",
  },
  xfs: { argv: ["mkfs.xfs", "-q", "-f"], package: "xfsprogs" },
} as const;

/** Makes the file, sparse, whole or not at all. Throws `volume_failed`. */
export async function makeImageFile(path: string, type: keyof typeof programs, size: number): Promise<void> {
  const beside = `${path}.new`;
  rmSync(beside, { force: true });
  const fd = openSync(beside, "wx", 0o600);
  try {
    ftruncateSync(fd, size);
    const { argv, package: from } = programs[type];
    const program = Bun.which(argv[0], { PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin` });
    if (!program)
      throw new OnggiError("volume_failed", `a volume of fixed size needs ${argv[0]}, which is not there: install ${from}`);
    const child = Bun.spawn([program, ...argv.slice(1), beside], { stdin: "ignore", stdout: "ignore", stderr: "pipe" });
    const complaint = (await new Response(child.stderr).text()).trim();
    if ((await child.exited) !== 0) throw new OnggiError("volume_failed", `${argv[0]} of ${size} bytes failed: ${complaint}`);
    fsyncSync(fd);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(fd);
  }
}
