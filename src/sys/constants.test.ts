import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as constants from "./constants.ts";
import * as netconstants from "./netconstants.ts";
import * as nfconstants from "./nfconstants.ts";
import { numbers } from "./numbers.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-constants-"));
afterAll(() => rmSync(directory, { recursive: true }));

const cc = Bun.which("cc");

/** Compiles and runs a C program that prints "name value" for every name, or nothing for a macro the headers lack. */
function valuesInC(headers: readonly string[], names: readonly string[], prelude = ""): Map<string, number> {
  const source = join(directory, "values.c");
  const includes = ["stdio.h", ...headers].map((header) => `#include <${header}>\n`).join("");
  const prints = names.map((name) => `printf("${name} %lld\\n", (long long)(${name}));\n`).join("");
  writeFileSync(source, `#define _GNU_SOURCE\n${prelude}${includes}int main(void) {\n${prints}return 0; }\n`);
  const built = Bun.spawnSync([cc!, "-w", "-o", join(directory, "values"), source]);
  if (built.exitCode !== 0) throw new Error(built.stderr.toString());
  const output = Bun.spawnSync([join(directory, "values")]).stdout.toString();
  return new Map(
    output
      .trim()
      .split("\n")
      .map((line) => [line.split(" ")[0]!, Number(line.split(" ")[1])]),
  );
}

const flatten = (groups: object): Map<string, number> =>
  new Map(Object.values(groups).flatMap((group) => Object.entries(group) as [string, number][]));

const general = [
  "netinet/in.h fcntl.h sched.h signal.h unistd.h poll.h termios.h dirent.h sys/wait.h sys/file.h sys/mman.h sys/socket.h sys/ioctl.h",
  "sys/epoll.h sys/eventfd.h sys/inotify.h sys/random.h sys/resource.h sys/personality.h sys/xattr.h linux/openat2.h linux/mount.h",
  "linux/stat.h linux/fs.h linux/sched.h linux/nsfs.h linux/prctl.h linux/securebits.h linux/capability.h linux/ioprio.h",
  "linux/mempolicy.h linux/loop.h linux/bpf.h linux/seccomp.h linux/magic.h linux/close_range.h linux/memfd.h linux/falloc.h",
  "linux/fsverity.h linux/sockios.h",
].flatMap((line) => line.split(" "));

/** Newer than the oldest headers this is built with, so compared where they have them. */
const newer = [
  "FSCONFIG_CMD_CREATE_EXCL",
  "MOVE_MOUNT_BENEATH",
  "MFD_NOEXEC_SEAL",
  "MFD_EXEC",
  "F_SEAL_EXEC",
  "MPOL_WEIGHTED_INTERLEAVE",
  "STATX_MNT_ID_UNIQUE",
];
/** The C library keeps two signals and hides one flag; the kernel's values stand in the table. */
const kernels: Readonly<Record<string, number>> = {
  SIGRTMIN: 32,
  SIGRTMAX: 64,
  O_LARGEFILE: process.arch === "arm64" ? 0o400000 : 0o100000,
};

describe.skipIf(cc === null)("the tables equal the headers", () => {
  test("constants", () => {
    const { MNT, ...rest } = constants;
    const table = flatten(rest);
    const names = [...table.keys()].filter((name) => !newer.includes(name) && !(name in kernels));
    const inC = valuesInC(general, names);
    for (const [name, value] of Object.entries(kernels)) inC.set(name, value);
    for (const name of newer) table.delete(name);
    expect(Object.fromEntries(table)).toEqual(Object.fromEntries(inC));
    expect(Object.fromEntries(valuesInC(["sys/mount.h"], Object.keys(MNT)))).toEqual({ ...MNT });
  });

  test("netlink", () => {
    const headers =
      "sys/socket.h linux/netlink.h linux/rtnetlink.h linux/if_link.h linux/if_addr.h linux/if.h linux/veth.h linux/neighbour.h linux/pkt_sched.h linux/pkt_cls.h linux/tc_act/tc_mirred.h linux/genetlink.h linux/wireguard.h";
    const table = flatten(netconstants);
    expect(Object.fromEntries(table)).toEqual(Object.fromEntries(valuesInC(headers.split(" "), [...table.keys()])));
  });

  test("netfilter", () => {
    const headers =
      "sys/socket.h netinet/in.h linux/netlink.h linux/netfilter.h linux/netfilter_ipv4.h linux/netfilter/nfnetlink.h linux/netfilter/nf_tables.h linux/netfilter/nfnetlink_conntrack.h linux/netfilter/nf_conntrack_common.h";
    const table = flatten(nfconstants);
    expect(Object.fromEntries(table)).toEqual(Object.fromEntries(valuesInC(headers.split(" "), [...table.keys()])));
  });

  test("system calls of both architectures", () => {
    const names = Object.keys(numbers).filter((name) => name !== "fchmodat2" && name !== "statmount" && name !== "listmount");
    const column = (index: 0 | 1) =>
      Object.fromEntries(names.map((name) => [`__NR_${name}`, numbers[name as keyof typeof numbers][index]]));
    const symbols = names.map((name) => `__NR_${name}`);
    const generic =
      "#define __ARCH_WANT_RENAMEAT\n#define __ARCH_WANT_NEW_STAT\n#define __ARCH_WANT_SET_GET_RLIMIT\n#define __ARCH_WANT_SYS_CLONE3\n";
    expect(Object.fromEntries(valuesInC(["asm-generic/unistd.h"], symbols, generic))).toEqual(column(1));
    if (process.arch === "x64") expect(Object.fromEntries(valuesInC(["asm/unistd.h"], symbols))).toEqual(column(0));
  });
});

test("arm64 has its own open flags, and nothing else of its own", () => {
  const program = `
    Object.defineProperty(process, "arch", { value: process.argv[1] });
    console.log(JSON.stringify(await import(process.argv[2])));`;
  const on = (arch: string): Record<string, Record<string, number>> =>
    JSON.parse(Bun.spawnSync([process.execPath, "-e", program, arch, join(import.meta.dir, "constants.ts")]).stdout.toString());
  const { O: armFlags, ...armRest } = on("arm64");
  const { O: x64Flags, ...x64Rest } = on("x64");
  expect(armRest).toEqual(x64Rest);
  expect(armFlags).toEqual({
    ...x64Flags,
    O_DIRECTORY: 0o40000,
    O_NOFOLLOW: 0o100000,
    O_DIRECT: 0o200000,
    O_LARGEFILE: 0o400000,
    O_TMPFILE: 0o20040000,
  });
});
