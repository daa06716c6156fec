/** What escape tests share: images whose contents an attacker chose, attack programs, and marks on the host to look for. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Engine, repository } from "./engine.ts";
import { sh } from "./images.ts";
import { type TarEntry, tar } from "./tar.ts";

const APPLETS = [
  "sh",
  "cat",
  "ls",
  "echo",
  "sleep",
  "mkdir",
  "mount",
  "umount",
  "ln",
  "mv",
  "rm",
  "id",
  "grep",
  "stat",
  "readlink",
  "unshare",
  "true",
  "pwd",
  "touch",
  "chroot",
  "find",
  "head",
  "env",
];

/** Imports an image of busybox and `entries`; its directories are only those the entries name, besides /bin. */
export async function attackImage(
  engine: Engine,
  name: string,
  entries: readonly TarEntry[] = [],
  programs: readonly string[] = [],
): Promise<void> {
  const all: TarEntry[] = [
    { name: "bin/", type: "5" },
    { name: "bin/busybox", data: new Uint8Array(readFileSync("/bin/busybox")), mode: 0o755 },
    ...APPLETS.map((applet) => ({ name: `bin/${applet}`, type: "2", link: "busybox" })),
    ...programs.map((file) => ({
      name: `bin/${file.replace(/^.*\//, "")}`,
      data: new Uint8Array(readFileSync(file)),
      mode: 0o755,
    })),
    ...entries,
  ];
  await engine.ok(["import", "-", name], { stdin: tar(all) });
}

/** Compiles test/escape/NAME.c to a static program, once. */
export const attackProgram = (name: string): string => compileProgram(join(repository, "test/escape", `${name}.c`));

/** Compiles a C file to a static program, once; what it is named after must be unique in the project. */
export function compileProgram(source: string): string {
  const name = basename(source, ".c");
  const file = join(repository, "build/cache/test", name);
  if (!existsSync(file) || statSync(file).mtimeMs < statSync(source).mtimeMs) {
    mkdirSync(join(repository, "build/cache/test"), { recursive: true });
    sh(["cc", "-static", "-O1", "-Wall", "-Werror", "-o", file, source]);
  }
  return file;
}

export const SECRET = "this line is the host's alone";

/** A file on the host that no container may read. */
export function plantSecret({ base }: { readonly base: string }): string {
  const file = join(base, "host-secret");
  writeFileSync(file, `${SECRET}\n`, { mode: 0o600 });
  return file;
}

export const sha256 = (file: string): string => new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");

/**
 * Mount points of this process's own mount namespace: an attack that reaches the host's tree changes them. Those of tests that run
 * beside this one do not count.
 */
export const hostMounts = ({ base }: { readonly base: string }): string =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((path) => !/^\/tmp\/onggi-[^/]*\//.test(path) || path.startsWith(`${base}/`))
    .sort()
    .join("\n");
