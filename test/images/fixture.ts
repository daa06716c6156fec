/** A source tree that has one of everything a layer can hold. */
import * as fs from "node:fs";
import { join } from "node:path";
import { AT, lsetxattr, makedev, mknodat, S, utimensat } from "../../src/sys/index.ts";

const run = (...command: string[]): void => {
  const done = Bun.spawnSync(command);
  if (!done.success) throw new Error(`${command.join(" ")}: ${done.stderr}`);
};

const bytes = (size: number, seed: number): Buffer => {
  const data = Buffer.alloc(size);
  for (let i = 0; i < size; i++) data[i] = (i * 31 + seed * 17 + (i >> 8)) & 0xff;
  return data;
};

/** Fills the empty directory `root`. Needs root. */
export const makeSourceTree = (root: string): void => {
  const at = (name: string): string => join(root, name);
  for (const name of ["etc", "bin", "many", "deep", "empty", "sparse", "links"]) fs.mkdirSync(at(name));
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 100_000])
    fs.writeFileSync(at(`bin/size-${size}`), bytes(size, size));
  for (let i = 0; i < 700; i++) fs.writeFileSync(at(`many/${"n".repeat(1 + ((i * 7) % 250))}-${i}`), `${i}`);
  for (const length of [254, 255]) fs.writeFileSync(at(`etc/${"x".repeat(length)}`), "long name");
  fs.writeFileSync(Buffer.concat([Buffer.from(`${root}/etc/not-utf8-`), Buffer.from([0xff, 0xfe, 0x80])]), "bytes");
  fs.writeFileSync(at("etc/grün 용기 \n line"), "utf8");
  let deep = "deep";
  for (let i = 0; i < 30; i++) {
    deep = `${deep}/level-${i}`;
    fs.mkdirSync(at(deep));
  }
  fs.writeFileSync(at(`${deep}/bottom`), "down here");
  for (const length of [1, 99, 100, 101, 300, 448, 449, 511, 512, 513, 2000, 4000])
    fs.symlinkSync(`/${"t".repeat(length - 1)}`, at(`links/sym-${length}`));
  fs.linkSync(at("bin/size-4097"), at("links/hard"));
  fs.linkSync(at("bin/size-4097"), at("etc/hard"));
  fs.linkSync(at("bin/size-0"), at("links/hard-empty"));
  mknodat(AT.AT_FDCWD, at("etc/null"), S.S_IFCHR | 0o666, makedev(1, 3));
  mknodat(AT.AT_FDCWD, at("etc/disk"), S.S_IFBLK | 0o660, makedev(259, 70000));
  run("mkfifo", at("etc/fifo"));
  fs.writeFileSync(at("bin/setuid"), "#!");
  fs.chownSync(at("bin/setuid"), 1_000_000, 4_000_000_000);
  fs.chmodSync(at("bin/setuid"), 0o6755);
  fs.lchownSync(at("links/sym-99"), 12, 34);
  fs.chmodSync(at("empty"), 0o1777);
  fs.writeFileSync(at("bin/capable"), "cap");
  run("setcap", "cap_net_raw+ep", at("bin/capable"));
  lsetxattr(at("bin/size-512"), "user.short", "v");
  lsetxattr(at("bin/size-512"), "user.binary", new Uint8Array([0, 10, 61, 255]));
  lsetxattr(at("bin/size-513"), "user.big", bytes(3000, 9));
  lsetxattr(at("many"), "trusted.dir", "on a directory");
  lsetxattr(at("links/sym-300"), "trusted.link", "on a link");
  makeSparse(at("sparse"));
  utimensat(AT.AT_FDCWD, at("bin/size-1"), 1_234_567_890_123_456_789n, 1_234_567_890_123_456_789n);
  utimensat(AT.AT_FDCWD, at("bin/size-511"), -1_500_000_000n, -1_500_000_000n);
  utimensat(AT.AT_FDCWD, at("links/sym-1"), 1n, 1n, AT.AT_SYMLINK_NOFOLLOW);
};

const makeSparse = (folder: string): void => {
  const write = (name: string, size: number, pieces: readonly (readonly [offset: number, length: number])[]): void => {
    const fd = fs.openSync(join(folder, name), "w");
    fs.ftruncateSync(fd, size);
    for (const [offset, length] of pieces) fs.writeSync(fd, bytes(length, offset), 0, length, offset);
    fs.closeSync(fd);
  };
  write("all-hole", 1 << 20, []);
  write("middle", 1 << 20, [[65536, 4096]]);
  write("ends-odd", 300_001, [
    [131072, 5000],
    [299_000, 1001],
  ]);
  write(
    "many-pieces",
    4 << 20,
    Array.from({ length: 100 }, (_, i) => [i * 40960, 4096] as const),
  );
};
