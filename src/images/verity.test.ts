import { afterAll, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { verityDigest } from "./verity.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "onggi-verity-"));
afterAll(() => fs.rmSync(folder, { recursive: true }));

/** Bytes 7n + 3, and what `fsverity digest` of fsverity-utils 1.6 says of so many. */
const known: [bytes: number, digest: string][] = [
  [0, "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"],
  [1, "83334d2a5a79c35ecec7b206551570ffb7c723db2fb0ea790e9f63bfb4992858"],
  [4096, "326c3051712e1f652ccdfaa71ae780da3cccf62304fa7fb03bc7191bc833ff04"],
  [4097, "fb00345b7ad04abc59ba8e4318de64408d8ee394ee753512546e2f2b454d71ab"],
  [524_288, "63b839ad83d865013c0ad8636ee048fd3870e0fb6bdbc748e8a1a5c64bb845d3"],
  [524_289, "7afe8ca9f259571b5eb25934658bea446d0b6c8f4283aa37d6d42cc5c1e0e2f7"],
  [70_000_000, "48b2ef58ee28cc220081decb3bed906d96fc120ea6f55a357e1411b72b6db727"],
];

test.each(known)("the digest of %d bytes is fsverity's", (bytes, digest) => {
  const path = join(folder, `${bytes}`);
  fs.writeFileSync(
    path,
    Buffer.alloc(
      bytes,
      Uint8Array.from({ length: 256 }, (_, i) => i * 7 + 3),
    ),
  );
  const fd = fs.openSync(path, "r");
  expect(verityDigest(fd)).toBe(digest);
  fs.closeSync(fd);
});
