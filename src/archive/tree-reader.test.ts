import { expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { close, lsetxattr, O, open } from "../sys/index.ts";
import { xattrsOf } from "./tree-reader.ts";

test("a file's attributes are its own, and what users' overlays keep in it", () => {
  const folder = fs.mkdtempSync(join(tmpdir(), "onggi-reader-"));
  try {
    const path = join(folder, "file");
    fs.writeFileSync(path, "");
    lsetxattr(path, "user.overlay.origin", "o");
    lsetxattr(path, "user.b", "1");
    if (process.getuid?.() === 0) lsetxattr(path, "trusted.overlay.origin", "hidden");
    const fd = open(path, O.O_PATH);
    expect(xattrsOf(fd).map(({ name, value }) => `${name}=${Buffer.from(value)}`)).toEqual(["user.b=1", "user.overlay.origin=o"]);
    close(fd);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
