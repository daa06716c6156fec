#!/usr/bin/env bun
/**
 * Runs a command of this repository inside a VM with cgroup v2 and all controllers; `make test-vm` is the usual way in.
 *
 *     bun test/vm/run.ts [--kernel bookworm|trixie|all] [--timeout SECONDS] [--memory MIB] [-- COMMAND...]
 *
 * Without a command: the cgroup suite, then the end-to-end suites that depend on the cgroup version.
 * Exit status: the command's own (the first that is not 0); 124 when time ran out; 0 with a loud line when no VM can run here.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { skipLoudly } from "../kit/skip.ts";
import { makeInitramfs, makeRootDisk } from "./disk.ts";
import { fetchKernel, type Kernel, type Suite, suites } from "./kernel.ts";
import { type BootResult, boot, vmUnavailable } from "./vm.ts";

const repository = resolve(import.meta.dirname, "../..");
const cache = join(repository, "build/cache/vm");

/**
 * What runs by default: what depends on the cgroup version, and on each kernel one half of what depends on its age. Emulation is
 * slow: both halves on both kernels would take as long as everything else together.
 */
const SUITES: Record<Suite, readonly string[]> = {
  bookworm: ["./test/cgroups.test.ts", "./test/e2e/run.test.ts"],
  trixie: ["./test/cgroups.test.ts", "./test/e2e/limits.test.ts", "./test/e2e/isolation.test.ts"],
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: "string", default: process.env.ONGGI_VM_KERNEL ?? "all" },
      timeout: { type: "string", default: process.env.ONGGI_VM_TIMEOUT ?? "420" },
      memory: { type: "string", default: "2048" },
    },
  });
  const reason = vmUnavailable();
  if (reason) {
    skipLoudly(`VM tests: ${reason}`);
    return 0;
  }
  const wanted = values.kernel === "all" ? suites : suites.filter((suite) => suite === values.kernel);
  if (wanted.length === 0) throw new Error(`--kernel ${values.kernel}: not one of ${suites.join(", ")}, all`);
  mkdirSync(cache, { recursive: true });
  const asked = positionals.length > 0 ? positionals.map(quote).join(" ") : undefined;
  let failed = 0;
  for (const suite of wanted) {
    const kernel = tryFetch(suite);
    if (!kernel) continue;
    const status = await runIn(kernel, asked ?? defaultCommand(suite), Number(values.memory), Number(values.timeout));
    failed ||= status;
  }
  return failed;
}

const ATTEMPTS = 4;

async function runIn(kernel: Kernel, command: string, memoryMib: number, timeoutSeconds: number): Promise<number> {
  // Not below the repository: a copy of its tests there would be found by `bun test`.
  const work = mkdtempSync(join(tmpdir(), "onggi-vm-"));
  try {
    const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
    const [initramfs, disk, consoleLog] = [
      join(work, "initramfs.cpio"),
      join(work, "root.ext4"),
      join(cache, `console-${kernel.release}.log`),
    ];
    rmSync(consoleLog, { force: true });
    makeInitramfs(kernel, work, initramfs);
    makeRootDisk(work, disk, { repository, command: `${command}\n`, nonce, megabytes: 6144 });
    console.log(`vm: Linux ${kernel.release}, cgroup v2, ${memoryMib} MiB: ${command}`);
    const start = (): Promise<BootResult> =>
      boot({
        ...{ kernel, initramfs, disk, nonce, consoleLog, memoryMib, timeoutSeconds },
        init: "/sbin/onggi-vm-init",
        // One: emulated side by side, a kernel that patches its own code trips over instructions translated before the patch.
        cpus: 1,
        onOutput: (text) => process.stdout.write(text),
      });
    // An emulated kernel that panics says nothing of what is tested: the emulator's fault is not the suite's.
    let result = await start();
    for (let again = 1; again < ATTEMPTS && result.status === null && !result.timedOut; again += 1) {
      console.log(`vm: Linux ${kernel.release} ended without a status (${consoleLog}): once more`);
      result = await start();
    }
    if (result.status === null && !result.timedOut) {
      skipLoudly(`VM tests on Linux ${kernel.release}: the emulated kernel panicked ${ATTEMPTS} times, see ${consoleLog}`);
      return 0;
    }
    const outcome = result.timedOut ? `out of time after ${timeoutSeconds} s` : `status ${result.status}`;
    console.log(`vm: Linux ${kernel.release}: ${outcome}, ${result.seconds.toFixed(1)} s`);
    return result.timedOut ? 124 : (result.status ?? 1);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function tryFetch(suite: Suite): Kernel | null {
  try {
    return fetchKernel(suite, cache);
  } catch (error) {
    skipLoudly(`VM tests on ${suite}'s kernel: it cannot be downloaded (${error instanceof Error ? error.message : error})`);
    return null;
  }
}

/** Emulated: everything takes some ten times as long as on the host. */
const defaultCommand = (suite: Suite): string => `bun test --timeout 120000 ${SUITES[suite].join(" ")}`;

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

process.exit(await main());
