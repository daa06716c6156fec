/**
 * Makes the npm packages in dist/sdk, ready for `npm pack`: `onggi`, which is JavaScript and types and depends on nothing, and the one
 * with this platform's executables, which npm installs beside it where it fits.
 *
 * The types are the SDK's own: what they reach must be theirs, and nothing of the engine.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, posix, resolve } from "node:path";
import { version } from "../package.json";
import { platformPackage } from "../src/sdk/binary.ts";

const repository = resolve(import.meta.dirname, "..");
const out = join(repository, "dist/sdk");
const executables = ["onggi", "onggi-runtime"];

/** What every package says of itself. */
const common = { version, license: "Apache-2.0", engines: { node: ">=20.5" } };

const fail = (message: string): never => {
  console.error(`build-sdk: ${message}`);
  process.exit(1);
};

function writePackage(directory: string, content: object): void {
  writeFileSync(join(directory, "package.json"), `${JSON.stringify({ ...content, ...common }, null, 2)}\n`);
  cpSync(join(repository, "LICENSE"), join(directory, "LICENSE"));
}

async function bundle(directory: string): Promise<void> {
  const result = await Bun.build({
    entrypoints: [join(repository, "src/sdk/index.ts")],
    outdir: directory,
    target: "node",
    format: "esm",
  });
  if (!result.success) fail(result.logs.join("\n"));
  const text = readFileSync(join(directory, "index.js"), "utf8");
  const alien = /\bBun\.|["']bun(:[a-z]+)?["']/.exec(text);
  if (alien) fail(`the bundle has ${alien[0]}: it would run on Bun alone`);
}

/** Declarations of the public modules, with the extensions that consumers resolve. */
function declare(directory: string): void {
  const types = join(repository, "build/sdk-types");
  rmSync(types, { recursive: true, force: true });
  const tsc = Bun.spawnSync(["node_modules/.bin/tsc", "-p", "src/sdk"], {
    cwd: repository,
    stdout: "inherit",
    stderr: "inherit",
  });
  if (tsc.exitCode !== 0) fail("the types cannot be made");
  const done = new Set<string>();
  const take = (file: string): void => {
    if (done.has(file)) return;
    done.add(file);
    if (!/^sdk\/|^lib\/errors\.ts$/.test(file)) fail(`the types reach ${file}, which is no part of the SDK`);
    const text = readFileSync(join(types, file.replace(/\.ts$/, ".d.ts")), "utf8");
    for (const [, found = ""] of text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)) take(posix.join(posix.dirname(file), found));
    const target = join(directory, "types", file.replace(/\.ts$/, ".d.ts"));
    mkdirSync(dirname(target), { recursive: true });
    const head = file === "sdk/index.ts" ? '/// <reference lib="esnext.disposable" />\n' : "";
    writeFileSync(target, head + text.replace(/((?:from|import\()\s*"\.[^"]+)\.ts"/g, '$1.js"'));
  };
  take("sdk/index.ts");
}

async function makeLibrary(): Promise<void> {
  const directory = join(out, "onggi");
  mkdirSync(directory, { recursive: true });
  await bundle(directory);
  declare(directory);
  cpSync(join(repository, "docs/sdk.md"), join(directory, "README.md"));
  writePackage(directory, {
    name: "onggi",
    description: "Containers for TypeScript: run, exec, copy, wait, snapshot; no daemon to set up",
    type: "module",
    exports: { ".": { types: "./types/sdk/index.d.ts", default: "./index.js" }, "./package.json": "./package.json" },
    types: "./types/sdk/index.d.ts",
    sideEffects: false,
    files: ["index.js", "types"],
    optionalDependencies: { [platformPackage()]: version },
  });
}

/** The executables of this machine, with their digests as sha256sum(1) writes them. */
function makePlatform(): void {
  const directory = join(out, `${process.platform}-${process.arch}`);
  mkdirSync(directory, { recursive: true });
  const sums = executables.map((name) => {
    const built = join(repository, "dist", name);
    cpSync(built, join(directory, name));
    return `${createHash("sha256").update(readFileSync(built)).digest("hex")}  ${name}\n`;
  });
  writeFileSync(join(directory, "SHA256SUMS"), sums.join(""));
  writePackage(directory, {
    name: platformPackage(),
    description: `The executables of onggi for ${process.platform}-${process.arch}`,
    os: [process.platform],
    cpu: [process.arch],
    preferUnplugged: true,
    files: [...executables, "SHA256SUMS"],
  });
}

rmSync(out, { recursive: true, force: true });
await makeLibrary();
makePlatform();
for (const name of readdirSync(out)) console.log(`dist/sdk/${name}: ${sizeOf(join(out, name))} bytes`);

function sizeOf(path: string): number {
  const stat = statSync(path);
  return stat.isDirectory() ? readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), 0) : stat.size;
}
