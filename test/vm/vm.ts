/**
 * Boots a disk in a virtual machine under QEMU's emulation (no KVM needed) and runs one command in it.
 *
 * The kernel speaks on the first serial port, which goes to a log file; the command's output comes over the second, is
 * streamed to the caller as it appears, and ends with a line that carries its exit status.
 */
import { readFileSync } from "node:fs";
import type { Kernel } from "./kernel.ts";

export interface BootOptions {
  readonly kernel: Kernel;
  readonly initramfs: string;
  /** ext4 disk; writes to it are thrown away. */
  readonly disk: string;
  /** Program on the disk that becomes the first process. */
  readonly init: string;
  readonly nonce: string;
  /** Where the kernel's own messages go. */
  readonly consoleLog: string;
  readonly memoryMib: number;
  readonly cpus: number;
  readonly timeoutSeconds: number;
  readonly onOutput: (text: string) => void;
  /** A machine that starts again goes on with the same disk; absent: it ends. */
  readonly reboots?: boolean;
  /** More words for the kernel command line. */
  readonly append?: string;
}

export interface BootResult {
  /** Exit status of the command, or null when the machine ended or ran out of time without telling it. */
  readonly status: number | null;
  readonly seconds: number;
  readonly timedOut: boolean;
}

/** Whether this machine can run VMs; the reason when it cannot. */
export function vmUnavailable(): string | null {
  if (process.arch !== "x64") return `the VM harness is for x86_64, this is ${process.arch}`;
  for (const tool of ["qemu-system-x86_64", "cpio", "mkfs.ext4", "depmod", "dpkg-deb"]) {
    if (!Bun.which(tool)) return `${tool} is not installed (scripts/setup test installs it)`;
  }
  return null;
}

export async function boot(options: BootOptions): Promise<BootResult> {
  const started = performance.now();
  const qemu = Bun.spawn(
    [
      "qemu-system-x86_64",
      ...["-M", "q35", "-cpu", "max,la57=off", "-smp", String(options.cpus), "-m", String(options.memoryMib)],
      ...["-accel", "tcg,thread=single,tb-size=512"],
      ...["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"],
      ...(options.reboots ? [] : ["-no-reboot"]),
      ...["-kernel", options.kernel.vmlinuz, "-initrd", options.initramfs],
      ...[
        "-append",
        `console=ttyS0 panic=-1 quiet loglevel=4 mitigations=off onggi.init=${options.init} ${options.append ?? ""}`,
      ],
      ...["-serial", `file:${options.consoleLog}`, "-serial", "stdio"],
      ...[
        "-drive",
        `file=${options.disk},if=none,id=root,format=raw,snapshot=on,cache=unsafe`,
        "-device",
        "virtio-blk-pci,drive=root",
      ],
      ...["-device", "virtio-rng-pci"],
    ],
    { stdin: "pipe", stdout: "pipe", stderr: "pipe" },
  );
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    qemu.kill("SIGKILL");
  }, options.timeoutSeconds * 1000);
  const errors = new Response(qemu.stderr).text();
  const status = await readOutput(qemu.stdout, options.nonce, options.onOutput);
  await qemu.exited;
  clearTimeout(timer);
  const complaint = (await errors).trim();
  if (status === null && complaint) options.onOutput(`qemu: ${complaint}\n`);
  if (status === null && !timedOut)
    options.onOutput(`the VM ended early; its last words:\n${lastLines(options.consoleLog, 20)}\n`);
  return { status, seconds: (performance.now() - started) / 1000, timedOut };
}

/** Passes output on, line by line, up to the line `@@NONCE status=N`. */
async function readOutput(
  stream: ReadableStream<Uint8Array>,
  nonce: string,
  onOutput: (text: string) => void,
): Promise<number | null> {
  const decoder = new TextDecoder();
  const marker = `@@${nonce} status=`;
  let pending = "";
  let status: number | null = null;
  for await (const chunk of stream) {
    pending += decoder.decode(chunk, { stream: true }).replaceAll("\r", "");
    const lines = pending.split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith(marker)) status = Number(line.slice(marker.length));
      else onOutput(`${line}\n`);
    }
  }
  if (pending) onOutput(pending);
  return status;
}

function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, "latin1").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "(no console log)";
  }
}
