/**
 * The SDK as its users have it: packed, installed into a directory of its own without a network, run by Node, Bun and Deno against a
 * private engine.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Engine, repository } from "./engine.ts";
import { sh } from "./images.ts";

export const runtimes = ["node", "bun", "deno"] as const;
export type RuntimeName = (typeof runtimes)[number];

const bin = join(repository, "node_modules/.bin");

export interface Installed {
  readonly directory: string;
  /** What a program of this directory is run with, against the engine. */
  readonly env: Record<string, string>;
  /** Runs a file of the directory; resolves with what it printed. */
  run(runtime: RuntimeName, file: string, args?: readonly string[], env?: Record<string, string>): Promise<Ran>;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes the packages, packs the library and installs it; the platform's package is a link to what was made. */
export function installSdk(engine: Engine): Installed {
  sh([join(bin, "bun"), "scripts/build-sdk.ts"], { cwd: repository });
  const directory = join(engine.base, "sdk");
  mkdirSync(directory, { recursive: true });
  const npm = { npm_config_cache: join(engine.base, "npm"), npm_config_offline: "true", npm_config_update_notifier: "false" };
  const env = { PATH: process.env.PATH ?? "", HOME: engine.base, TMPDIR: engine.base, ...npm };
  const archive = sh(["npm", "pack", "--silent", "--pack-destination", directory, join(repository, "dist/sdk/onggi")], {
    cwd: directory,
    env,
  }).trim();
  const { name } = JSON.parse(readFileSync(join(platformDirectory, "package.json"), "utf8")) as { name: string };
  const dependencies = { onggi: `file:${archive}`, [name]: `file:${platformDirectory}` };
  writeFileSync(join(directory, "package.json"), JSON.stringify({ name: "user", private: true, type: "module", dependencies }));
  sh(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd: directory, env });
  const ours = { ...env, ONGGI_ROOT: engine.root, ONGGI_RUN: engine.run, ONGGI_CNI_CONFIG_DIR: join(engine.base, "net.d") };
  return {
    directory,
    env: ours,
    run: (runtime, file, args = [], more = {}) =>
      run([...commands[runtime], join(directory, file), ...args], directory, { ...ours, ...more }),
  };
}

export const platformDirectory = join(repository, `dist/sdk/${process.platform}-${process.arch}`);

/** TypeScript programs of a directory, checked as strictly as it goes, and made JavaScript for Node beside them. */
export function compile(directory: string): void {
  const compilerOptions = {
    ...{ target: "es2022", module: "nodenext", moduleResolution: "nodenext", strict: true, exactOptionalPropertyTypes: true },
    ...{ lib: ["es2022", "dom", "dom.iterable"], types: ["node"], typeRoots: [join(repository, "node_modules/@types")] },
    ...{ noUncheckedIndexedAccess: true, skipLibCheck: false, outDir: "compiled" },
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  sh([join(bin, "tsc"), "-p", directory]);
}

const commands: Record<RuntimeName, readonly string[]> = {
  node: ["node"],
  bun: [join(bin, "bun"), "run"],
  deno: [join(bin, "deno"), "run", "--allow-all", "--no-check", "--node-modules-dir=manual", "--cached-only"],
};

async function run(command: string[], cwd: string, env: Record<string, string>): Promise<Ran> {
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}
