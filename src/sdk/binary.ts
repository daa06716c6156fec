/** Where the engine's executable is: it comes in a package for each platform, which npm installs if it fits. */
import { createHash } from "node:crypto";
import { accessSync, chmodSync, constants, createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";

export interface FoundBinary {
  readonly path: string;
  /** Its sha256, in hex, as its package has it; absent where somebody named the file. */
  readonly digest?: string;
}

/** The package that has this platform's executable. */
export const platformPackage = (platform: string = process.platform, arch: string = process.arch): string =>
  `@onggi/${platform}-${arch}`;

/** Directory of an installed package, looked for from this module on; undefined where it is not there. */
function directoryOf(name: string): string | undefined {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function onPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return (env.PATH ?? "")
    .split(delimiter)
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => join(directory, "onggi"))
    .find((path) => existsSync(path));
}

/**
 * The executable: what the caller or ONGGI_BINARY names, else the one of the platform's package, else `onggi` on the PATH. Throws
 * `binary_missing` with what to do.
 */
export function findBinary(
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
  packaged: (name: string) => string | undefined = directoryOf,
): FoundBinary {
  const given = named ?? (env.ONGGI_BINARY || undefined);
  if (given !== undefined) {
    if (existsSync(given)) return { path: given };
    const by = named === undefined ? "ONGGI_BINARY" : "the option `binary`";
    throw new OnggiError("binary_missing", `${by} names ${given}, and no file is there`);
  }
  const name = platformPackage();
  const directory = packaged(name);
  if (directory !== undefined) return { path: join(directory, "onggi"), digest: digestOf(directory) };
  const path = onPath(env);
  if (path !== undefined) return { path };
  throw new OnggiError(
    "binary_missing",
    `there is no onggi executable: no engine answers, the package ${name} is not installed, and no directory of PATH has one. ` +
      `Install the package (npm leaves it out with --omit=optional, and on platforms it does not fit: onggi runs on linux-x64), ` +
      "or name an executable by ONGGI_BINARY or the option `binary`, or start an engine yourself.",
  );
}

/** What the package says of its executable, in a file as sha256sum(1) writes it. */
function digestOf(directory: string): string {
  const file = join(directory, "SHA256SUMS");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new OnggiError("binary_damaged", `${file} cannot be read: ${messageOf(error)}; install the package again`);
  }
  const digest = /^([0-9a-f]{64}) [ *]onggi$/m.exec(text)?.[1];
  if (!digest) throw new OnggiError("binary_damaged", `${file} has no digest of onggi; install the package again`);
  return digest;
}

/** Makes sure that it can be run and is what its package says. Throws `binary_damaged`. */
export async function checkBinary({ path, digest }: FoundBinary): Promise<void> {
  if (digest === undefined) return;
  const hash = createHash("sha256");
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
  } catch (error) {
    throw new OnggiError("binary_damaged", `${path} cannot be read: ${messageOf(error)}; install the package again`);
  }
  const found = hash.digest("hex");
  if (found !== digest) {
    const why = `has the sha256 ${found}, its package says ${digest}`;
    throw new OnggiError(
      "binary_damaged",
      `${path} ${why}; install the package again, or name another executable by ONGGI_BINARY`,
    );
  }
  makeExecutable(path);
}

/** Some installers lose the permission. */
function makeExecutable(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    try {
      chmodSync(path, statSync(path).mode | 0o111);
    } catch (error) {
      throw new OnggiError("binary_damaged", `${path} is not executable: ${messageOf(error)}; chmod +x it`);
    }
  }
}
