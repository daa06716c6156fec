/**
 * What a test VM boots from: an initramfs that only finds the root disk, and a root disk.
 *
 * The root disk is small: busybox, Bun, the libraries both need, this repository at /onggi, and systemd if that is to be the
 * first process. The initramfs runs whatever `onggi.init=` names on it.
 */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Kernel, moduleFiles } from "./kernel.ts";
import { installSystemd } from "./systemd.ts";

/** Modules the initramfs loads to reach the disk, and then what the tests need of the kernel. */
const MODULES = [
  ...["virtio_pci", "virtio_blk", "virtio_rng", "ext4", "overlay", "erofs", "loop", "veth"],
  // for criu, which looks for sockets by them
  ...["tun", "unix_diag", "tcp_diag", "udp_diag", "af_packet_diag", "netlink_diag"],
  // whose packets it keeps away, and whose connection tracking it saves
  ...["nf_tables", "nf_conntrack_netlink"],
  // networks and their rules
  ...["bridge", "vxlan", "wireguard", "br_netfilter", "nft_chain_nat", "nft_nat", "nft_masq", "nft_fib_inet", "nft_ct"],
  ...["sch_tbf", "ifb", "sch_ingress", "cls_u32", "act_mirred", "macvlan", "ipvlan", "8021q"],
];

/** Programs of the host that tests call inside the VM, when the host has them. */
const PROGRAMS = [
  "strace",
  "install",
  "mount",
  "umount",
  "nsenter",
  "unshare",
  "setpriv",
  "script",
  "capsh",
  "getfattr",
  "setfattr",
  "tar",
  "mkfs.ext4",
  "ps",
  "ip",
  "bridge",
  "tc",
  "nft",
  "nc",
  "curl",
  "iperf3",
  "etcd",
  "etcdctl",
];

const INITRAMFS_INIT = `#!/bin/busybox sh
# Loads what the root disk needs, mounts it and hands over to the program that init= names.
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
while read -r module; do busybox insmod "/modules/$module" || echo "initramfs: $module did not load" >&2; done < /modules/order
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; busybox sleep 0.2; done
busybox mount -t ext4 -o noatime /dev/vda /root || busybox poweroff -f
init=/sbin/init
for word in $(busybox cat /proc/cmdline); do case "$word" in onggi.init=*) init=\${word#onggi.init=} ;; esac; done
busybox umount /proc
busybox mount --move /dev /root/dev
exec busybox switch_root /root "$init"
`;

/** The first process where systemd is not: cgroup v2 with every controller, then the command. */
const VM_INIT = `#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=755 run /run
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd
for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$controller" > /sys/fs/cgroup/cgroup.subtree_control; done
ip link set lo up 2>/dev/null
hostname onggi-vm
. /sbin/onggi-vm-run
`;

/**
 * Runs the command; its output and its status go to the second port, and the machine ends. A command that has it start again leaves
 * /rebooted; one that starts without that has had a panic.
 */
const VM_RUN = `#!/bin/sh
export PATH=/onggi/node_modules/.bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 NO_COLOR=1 ONGGI_IN_VM=1
cd /onggi
[ ! -e /started ] || [ -e /rebooted ] || busybox poweroff -f
touch /started
stty -F /dev/ttyS1 raw -echo
# A session of its own, so that the command's terminal is no terminal of ours.
setsid sh /command </dev/null >/dev/ttyS1 2>&1
status=$?
printf '\\n@@%s status=%s\\n' "$(cat /nonce)" "$status" >/dev/ttyS1
sync
# Lets the port drain before the machine is gone.
sleep 0.3
busybox poweroff -f
`;

/** Writes the initramfs for a kernel (cpio, newc format, uncompressed: unpacking is slow under emulation). */
export function makeInitramfs(kernel: Kernel, work: string, file: string): void {
  const tree = join(work, `initramfs-${kernel.release}`);
  rmSync(tree, { recursive: true, force: true });
  for (const dir of ["bin", "dev", "proc", "root", "modules"]) mkdirSync(join(tree, dir), { recursive: true });
  cpSync("/bin/busybox", join(tree, "bin/busybox"), { dereference: true });
  writeExecutable(join(tree, "init"), INITRAMFS_INIT);
  const order: string[] = [];
  for (const module of moduleFiles(kernel, MODULES)) {
    const name = basename(module).replace(/\.(xz|zst|gz)$/, "");
    cpSync(join(kernel.modules, module), join(tree, "modules", basename(module)));
    if (module.endsWith(".xz")) run(["xz", "-df", join(tree, "modules", basename(module))]);
    if (module.endsWith(".zst")) run(["zstd", "-qdf", "--rm", join(tree, "modules", basename(module))]);
    if (module.endsWith(".gz")) run(["gzip", "-df", join(tree, "modules", basename(module))]);
    order.push(name);
  }
  writeFileSync(join(tree, "modules/order"), order.map((name) => `${name}\n`).join(""));
  run(["sh", "-c", `find . | cpio --quiet -o -H newc > '${file}'`], tree);
}

export interface DiskOptions {
  /** This repository. */
  readonly repository: string;
  /** Run by the VM's init with `sh`, in /onggi. */
  readonly command: string;
  /** Marks the line with the command's status on the output port. */
  readonly nonce: string;
  /** Apparent size; the file is sparse. */
  readonly megabytes: number;
  /** Root of unpacked systemd packages that the disk gets as well. */
  readonly systemd?: string;
}

/** Writes a bootable ext4 root disk with busybox, Bun and the repository. */
export function makeRootDisk(work: string, file: string, options: DiskOptions): void {
  const tree = join(work, "root");
  rmSync(tree, { recursive: true, force: true });
  for (const dir of ["bin", "sbin", "lib", "lib64", "local/bin"]) mkdirSync(join(tree, "usr", dir), { recursive: true });
  for (const dir of ["bin", "sbin", "lib", "lib64"]) symlinkSync(`usr/${dir}`, join(tree, dir));
  for (const dir of ["dev", "proc", "sys", "run", "tmp", "root", "etc", "var/lib", "var/tmp", "onggi"]) {
    mkdirSync(join(tree, dir), { recursive: true });
  }
  chmodSync(join(tree, "tmp"), 0o1777);
  writeFileSync(
    join(tree, "etc/passwd"),
    "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
  );
  writeFileSync(join(tree, "etc/group"), "root:x:0:\ntty:x:5:\nmessagebus:x:100:\nnogroup:x:65534:\n");
  writeFileSync(join(tree, "etc/hosts"), "127.0.0.1 localhost\n");
  // nft prints protocols by these names
  writeFileSync(join(tree, "etc/protocols"), "icmp 1\ntcp 6\nudp 17\nipv6-icmp 58\nsctp 132\n");
  installBusybox(tree);
  copyRepository(options.repository, join(tree, "onggi"));
  const programs = PROGRAMS.map((name) => Bun.which(name)).filter((path) => path !== null);
  for (const program of programs) {
    const target = join(tree, "usr/bin", basename(program));
    rmSync(target, { force: true });
    cpSync(program, target, { dereference: true });
  }
  const libseccomp = ["/usr/lib/x86_64-linux-gnu/libseccomp.so.2"].filter((path) => existsSync(path));
  copyLibraries(tree, [join(tree, "onggi/node_modules/.bin/bun"), ...programs, ...libseccomp], libseccomp);
  if (options.systemd) installSystemd(tree, options.systemd);
  writeExecutable(join(tree, "sbin/onggi-vm-init"), VM_INIT);
  writeExecutable(join(tree, "sbin/onggi-vm-run"), VM_RUN);
  writeFileSync(join(tree, "command"), options.command);
  writeFileSync(join(tree, "nonce"), options.nonce);
  rmSync(file, { force: true });
  run(["truncate", "-s", `${options.megabytes}M`, file]);
  // No journal and lazy tables: the disk lives for one run.
  run(["mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", "-d", tree, file]);
  rmSync(tree, { recursive: true });
}

function installBusybox(tree: string): void {
  cpSync("/bin/busybox", join(tree, "bin/busybox"), { dereference: true });
  for (const applet of run(["/bin/busybox", "--list"]).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("/bin/busybox", join(tree, "bin", applet));
  }
}

/** Sources, tests, native code, the built executable and the packages that run: not the history, caches or compilers. */
function copyRepository(from: string, to: string): void {
  const built = ["dist", "build/native", "build/cache/criu"];
  const installed = ["packaging", "scripts/install", "LICENSE", "README.md", "CHANGELOG.md"];
  for (const entry of ["package.json", "tsconfig.json", "src", "test", "native", "bench", "docs", ...installed, ...built]) {
    if (!existsSync(join(from, entry))) continue;
    mkdirSync(dirname(join(to, entry)), { recursive: true });
    cpSync(join(from, entry), join(to, entry), { recursive: true, verbatimSymlinks: true });
  }
  const heavy = new Set([
    ".bin",
    ".cache",
    "@swc",
    "@biomejs",
    "@oven",
    "@deno",
    "bun",
    "typescript",
    "@typescript",
    "dependency-cruiser",
  ]);
  mkdirSync(join(to, "node_modules/.bin"), { recursive: true });
  for (const name of readdirSync(join(from, "node_modules"))) {
    if (heavy.has(name)) continue;
    cpSync(join(from, "node_modules", name), join(to, "node_modules", name), { recursive: true });
  }
  cpSync(realpathSync(process.execPath), join(to, "node_modules/.bin/bun"));
}

function copyLibraries(tree: string, programs: readonly string[], also: readonly string[]): void {
  const files = new Set(also);
  for (const program of programs) {
    const ldd = Bun.spawnSync(["ldd", program], { stdout: "pipe", stderr: "ignore" });
    for (const match of ldd.stdout.toString().matchAll(/(?:=> )?(\/\S+) \(0x/g)) files.add(match[1]!);
  }
  for (const file of files) {
    mkdirSync(join(tree, dirname(file)), { recursive: true });
    cpSync(file, join(tree, file), { dereference: true });
  }
}

function writeExecutable(file: string, text: string): void {
  writeFileSync(file, text);
  chmodSync(file, 0o755);
}

function run(command: readonly string[], cwd?: string): string {
  const result = Bun.spawnSync([...command], { ...(cwd ? { cwd } : {}), stdout: "pipe", stderr: "pipe" });
  if (result.exitCode !== 0)
    throw new Error(`${command.join(" ")} ended with ${result.exitCode}: ${result.stderr.toString().trim()}`);
  return result.stdout.toString();
}
