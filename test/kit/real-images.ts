/**
 * Two images as they are in use, as OCI layouts with gzip layers, each made once and kept in build/cache/test: a distribution under
 * a layer that has one of everything a layer can do, and a tree of 20,000 files as a node_modules is.
 */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { busyboxTar, cached, debianTar, manyFilesTar, sh } from "./images.ts";
import { type TarEntry, tar } from "./tar.ts";

/** A PAX record: its length counts itself (pax(1), POSIX.1-2017). */
function paxRecord(key: string, value: string | Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from("\n")]);
  let length = body.length + 1;
  while (String(length).length + body.length !== length) length = String(length).length + body.length;
  return Buffer.concat([Buffer.from(String(length)), body]);
}

const pax = (records: Readonly<Record<string, string | Uint8Array>>): TarEntry => ({
  name: "PaxHeaders/next",
  type: "x",
  data: Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value))),
});

/** cap_net_raw+ep, as the kernel keeps it: capabilities(7), VFS_CAP_REVISION_2. */
const NET_RAW = Uint8Array.from([1, 0, 0, 2, 0, 0x20, ...new Array(14).fill(0)]);

/** Over a Debian: every kind of entry, owner, mode, time, attribute; names deleted, replaced, and a directory made opaque. */
const specials: readonly TarEntry[] = [
  { name: "opt/", type: "5", mode: 0o755, mtime: 1_600_000_000 },
  { name: "opt/odd/", type: "5", mode: 0o1777, uid: 1000, gid: 100, mtime: 1_600_000_001 },
  { name: "opt/odd/setuid", data: "#!", mode: 0o6755, uid: 33, gid: 33, mtime: 1_500_000_000 },
  pax({ "SCHILY.xattr.security.capability": NET_RAW, mtime: "1400000000.5" }),
  { name: "opt/odd/capable", data: "raw", mode: 0o755 },
  pax({ "SCHILY.xattr.user.colour": "celadon", "SCHILY.xattr.user.binary": Uint8Array.from([0, 10, 61, 255]) }),
  { name: "opt/odd/coloured", data: "jar", uid: 65_534, gid: 65_534 },
  { name: "opt/odd/linked", data: "one file, three names" },
  { name: "opt/odd/twin", type: "1", link: "opt/odd/linked" },
  { name: "opt/twin", type: "1", link: "opt/odd/linked" },
  { name: "opt/odd/symlink", type: "2", link: "../nowhere", mode: 0o777, uid: 5, gid: 6 },
  { name: "opt/odd/fifo", type: "6", mode: 0o620 },
  { name: "opt/odd/null", type: "3", mode: 0o666, major: 1, minor: 3 },
  { name: "opt/odd/empty", data: "", mode: 0 },
  { name: "opt/odd/grün 용기", data: "UTF-8" },
  pax({ path: `opt/odd/${"n".repeat(250)}` }),
  { name: "long", data: "a long name" },
  { name: "etc/", type: "5" },
  { name: "etc/.wh.issue", data: "" },
  { name: "etc/debian_version", data: "replaced\n", mode: 0o600 },
  { name: "etc/apt/", type: "5" },
  { name: "etc/apt/.wh..wh..opq", data: "" },
  { name: "etc/apt/only", data: "what is left\n" },
];

function layout(name: string, layers: () => readonly string[]): string {
  return cached(name, (part) => {
    sh(["umoci", "init", "--layout", part]);
    sh(["umoci", "new", "--image", `${part}:1`]);
    for (const layer of layers()) sh(["umoci", "raw", "add-layer", "--image", `${part}:1`, layer]);
    sh(["umoci", "config", "--image", `${part}:1`, "--config.cmd", "/bin/sh", "--config.env", "POT=clay"]);
    sh(["umoci", "gc", "--layout", part]);
  });
}

/** Debian by mmdebstrap with the specials over it, tag "1". */
export const distributionLayout = (): string =>
  layout("distribution-layout", () => {
    const top = join(import.meta.dirname, "../../build/cache/test/specials.tar");
    rmSync(top, { force: true });
    writeFileSync(top, tar(specials));
    return [debianTar(), top];
  });

/** Busybox with 20,000 files over it, tag "1". */
export const modulesLayout = (): string => layout("modules-layout", () => [busyboxTar(), manyFilesTar()]);
