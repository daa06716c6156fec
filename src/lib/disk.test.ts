import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesBelow } from "./disk.ts";

test("files of any name and depth are counted, hard links once", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "onggi-disk-"));
  try {
    fs.writeFileSync(join(folder, "a"), "four");
    fs.linkSync(join(folder, "a"), join(folder, "b"));
    fs.symlinkSync("/", join(folder, "elsewhere"));
    fs.writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]), "three");
    // Deeper than PATH_MAX: two halves, one moved below the other.
    const half = `/${"n".repeat(200)}`.repeat(15);
    for (const name of ["upper", "lower"]) fs.mkdirSync(`${folder}/${name}${half}`, { recursive: true });
    fs.writeFileSync(`${folder}/lower${half}/deep`, "at the bottom");
    fs.renameSync(`${folder}/lower`, `${folder}/upper${half}/lower`);
    expect(bytesBelow(folder)).toBe(4 + 5 + 13);
    expect(bytesBelow(join(folder, "nothing"))).toBe(0);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
