#!/usr/bin/env bun
/**
 * Runs a command of this repository inside a VM with cgroup v2 and all controllers; `make test-vm` is the usual way in.
 *
 *     bun test/vm/run.ts [--kernel bookworm|trixie|all] [--init plain|systemd|all] [--timeout SECONDS] [--memory MIB] [-- COMMAND...]
 *
 * The first process is a script (plain), or Debian's systemd with its bus, on trixie's kernel only.
 * Without a command: the cgroup suite, then the end-to-end suites that depend on the cgroup version or its driver.
 * Exit status: the command's own (the first that is not 0); 124 when time ran out; 0 with a loud line when no VM can run here.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { skipLoudly } from "../kit/skip.ts";
import { makeInitramfs, makeRootDisk } from "./disk.ts";
import { fetchKernel, type Kernel, type Suite, suites } from "./kernel.ts";
import { fetchSystemd, SYSTEMD_APPEND, SYSTEMD_INIT } from "./systemd.ts";
import { type BootResult, boot, vmUnavailable } from "./vm.ts";

const repository = resolve(import.meta.dirname, "../..");
const cache = join(repository, "build/cache/vm");

/**
 * What runs by default: what depends on the cgroup version or needs what many kernels lack, and on each kernel one half of what
 * depends on its age. Emulation is slow: both halves on both kernels would take as long as everything else together.
 */
const SUITES: Record<Suite, readonly string[]> = {
  bookworm: [
    "./test/cgroups.test.ts",
    "./test/e2e/run.test.ts",
    "./test/networks/firewall.test.ts",
    "./test/networks/firewall-table.test.ts",
    "./test/networks/lan.test.ts",
  ],
  trixie: [
    "./test/cgroups.test.ts",
    "./test/images-verity.test.ts",
    "./test/networks/wireguard.test.ts",
    "./test/e2e/overlay-encrypted.test.ts",
    "./test/e2e/limits.test.ts",
    "./test/e2e/block-devices.test.ts",
    "./test/e2e/isolation.test.ts",
  ],
};

const INITS = ["plain", "systemd"] as const;
type Init = (typeof INITS)[number];

const SYSTEMD_SUITE: Suite = "trixie";
const SERVICE_TEST = "./test/e2e/service-systemd.test.ts";
const SYSTEMD_TESTS: readonly string[] = [
  ...["./test/systemd.test.ts", "./test/e2e/systemd.test.ts", "./test/oci/systemd.test.ts"],
  SERVICE_TEST,
];

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: "string", default: process.env.ONGGI_VM_KERNEL ?? "all" },
      init: { type: "string", default: process.env.ONGGI_VM_INIT ?? "all" },
      timeout: { type: "string", default: process.env.ONGGI_VM_TIMEOUT ?? "900" },
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
  const inits = values.init === "all" ? INITS : INITS.filter((init) => init === values.init);
  if (inits.length === 0) throw new Error(`--init ${values.init}: not one of ${INITS.join(", ")}, all`);
  mkdirSync(cache, { recursive: true });
  const asked = positionals.length > 0 ? positionals.map(quote).join(" ") : undefined;
  let failed = 0;
  for (const suite of wanted) {
    for (const init of inits) {
      if (init === "systemd" && suite !== SYSTEMD_SUITE) continue;
      const parts = tryFetch(suite, init);
      if (!parts) continue;
      const command = asked ?? defaultCommand(suite, init);
      const status = await runIn(parts, command, Number(values.memory), Number(values.timeout));
      failed ||= status;
    }
  }
  return failed;
}

/** What a VM is made of besides this repository. */
interface Parts {
  readonly kernel: Kernel;
  /** Root of the unpacked packages, if systemd is to be the first process. */
  readonly systemd?: string;
}

const ATTEMPTS = 4;

async function runIn(parts: Parts, command: string, memoryMib: number, timeoutSeconds: number): Promise<number> {
  const { kernel, systemd } = parts;
  const what = systemd ? `Linux ${kernel.release} with systemd` : `Linux ${kernel.release}`;
  // Not below the repository: a copy of its tests there would be found by `bun test`.
  const work = mkdtempSync(join(tmpdir(), "onggi-vm-"));
  try {
    const nonce = Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString("hex");
    const [initramfs, disk, consoleLog] = [
      join(work, "initramfs.cpio"),
      join(work, "root.ext4"),
      join(cache, `console-${kernel.release}${systemd ? "-systemd" : ""}.log`),
    ];
    rmSync(consoleLog, { force: true });
    makeInitramfs(kernel, work, initramfs);
    makeRootDisk(work, disk, { ...parts, repository, command: `${command}\n`, nonce, megabytes: 6144 });
    console.log(`vm: ${what}, cgroup v2, ${memoryMib} MiB: ${command}`);
    const start = (): Promise<BootResult> =>
      boot({
        ...{ kernel, initramfs, disk, nonce, consoleLog, memoryMib, timeoutSeconds },
        ...(systemd ? { init: SYSTEMD_INIT, append: SYSTEMD_APPEND, reboots: true } : { init: "/sbin/onggi-vm-init" }),
        // One: emulated side by side, a kernel that patches its own code trips over instructions translated before the patch.
        cpus: 1,
        onOutput: (text) => process.stdout.write(text),
      });
    // An emulated kernel that panics says nothing of what is tested: the emulator's fault is not the suite's.
    let result = await start();
    for (let again = 1; again < ATTEMPTS && result.status === null && !result.timedOut; again += 1) {
      console.log(`vm: ${what} ended without a status (${consoleLog}): once more`);
      result = await start();
    }
    if (result.status === null && !result.timedOut) {
      skipLoudly(`VM tests on ${what}: the emulated kernel panicked ${ATTEMPTS} times, see ${consoleLog}`);
      return 0;
    }
    const outcome = result.timedOut ? `out of time after ${timeoutSeconds} s` : `status ${result.status}`;
    console.log(`vm: ${what}: ${outcome}, ${result.seconds.toFixed(1)} s`);
    return result.timedOut ? 124 : (result.status ?? 1);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function tryFetch(suite: Suite, init: Init): Parts | null {
  try {
    const kernel = fetchKernel(suite, cache);
    return init === "systemd" ? { kernel, systemd: fetchSystemd(cache) } : { kernel };
  } catch (error) {
    const what = init === "systemd" ? `${suite}'s kernel with systemd` : `${suite}'s kernel`;
    skipLoudly(`VM tests on ${what}: it cannot be downloaded (${error instanceof Error ? error.message : error})`);
    return null;
  }
}

/** Emulated: everything takes some ten times as long as on the host. */
const testing = (files: readonly string[]): string => `bun test --timeout 120000 ${files.join(" ")}`;
const defaultCommand = (suite: Suite, init: Init): string =>
  init === "systemd" ? withReboot(testing(SYSTEMD_TESTS), testing([SERVICE_TEST])) : testing(SUITES[suite]);

/** Two commands, with a start of the machine, as after a power cut, between them. */
const withReboot = (before: string, after: string): string =>
  `[ -e /rebooted ] && exec ${after}; ${before} || exit; touch /rebooted; sync; busybox reboot -f; sleep 1000`;

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

process.exit(await main());
