/** A shim in a directory of its own. A test file calls `afterEach(cleanUp)`: a hook in a shared module would serve one file only. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attachment, type AttachOptions, Shim } from "../../src/native/shim.ts";
import { encode } from "../../src/plan/encode.ts";
import type { Plan } from "../../src/plan/ops.ts";

const root = new URL("../..", import.meta.url).pathname;
export const SHIM = process.env.ONGGI_SHIM ?? join(root, "build/onggi-shim");
/** The sanitizer build: slower, larger, and with a short patience for lossless clients. */
export const SANITIZED = SHIM.endsWith("-asan");

const dirs: string[] = [];
const shims: Shim[] = [];

export function stateDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "onggi-shim-"));
  dirs.push(dir);
  return dir;
}

/** Has the shim ended after this test, whatever becomes of it. */
export function guard(shim: Shim): Shim {
  shims.push(shim);
  return shim;
}

export const alive = (pid: number): boolean =>
  existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));

/** Polls until it is true. */
export async function until(what: () => boolean, patience = 5000): Promise<void> {
  const end = performance.now() + patience;
  while (!what()) {
    if (performance.now() > end) throw new Error(`did not become true within ${patience} ms: ${what}`);
    await Bun.sleep(5);
  }
}

/** Ends what the test has spawned, clears away its directories. */
export async function cleanUp(): Promise<void> {
  const ending = shims.splice(0);
  for (const shim of ending) {
    await shim.kill(0, 9, true).catch(() => {});
    shim.release();
  }
  for (const shim of ending) {
    await until(() => !alive(shim.pid)).catch(() => process.kill(shim.pid, 9));
  }
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
}

export async function spawn(plan: Plan | Uint8Array, dir = stateDir(), passedFds: readonly number[] = []): Promise<Shim> {
  const bytes = plan instanceof Uint8Array ? plan : encode(plan);
  return guard(await Shim.spawn({ shimPath: SHIM, id: "test", stateDir: dir, plan: bytes, passedFds }));
}

/** What an attachment has received, as text. */
export interface Heard {
  stdout: string;
  stderr: string;
  dropped: number;
  readonly options: AttachOptions;
}

export function listener(options: AttachOptions = {}): Heard {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  const heard: Heard = {
    stdout: "",
    stderr: "",
    dropped: 0,
    options: {
      stdout: true,
      stderr: true,
      lossless: true,
      onOutput: (stream, data) => {
        heard[stream] += decoders[stream].decode(data, { stream: true });
      },
      onDropped: (bytes) => {
        heard.dropped += bytes;
      },
      ...options,
    },
  };
  return heard;
}

/** Runs a plan to its end with everything it writes. */
export async function run(plan: Plan, dir = stateDir()) {
  const shim = await spawn(plan, dir);
  const heard = listener();
  const attachment: Attachment = await shim.attach(0, heard.options);
  shim.start();
  const exit = await shim.main.exited;
  await attachment.ended;
  return { shim, dir, exit, stdout: heard.stdout, stderr: heard.stderr };
}

export const descriptors = (pid: number): string[] => readdirSync(`/proc/${pid}/fd`);

/** One field of a /proc file with "Name: value" lines, as a number. */
export function field(path: string, name: string): number {
  const line = readFileSync(path, "utf8")
    .split("\n")
    .find((text) => text.startsWith(`${name}:`));
  return Number.parseInt(line?.slice(name.length + 1) ?? "NaN", 10);
}
