import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import type { Mount, Spec } from "../oci/spec.ts";
import { close, openDir } from "../sys/index.ts";
import { bindSources, tmpfsModes } from "./bind-sources.ts";

let bundle = "";
beforeAll(() => {
  bundle = mkdtempSync(`${tmpdir()}/onggi-sources-`);
  for (const name of ["dir", "root", "root/run", "root/var"]) mkdirSync(`${bundle}/${name}`);
  chmodSync(`${bundle}/root/run`, 0o1750);
  symlinkSync("/run", `${bundle}/root/var/run`);
  symlinkSync("/etc", `${bundle}/root/out`);
  writeFileSync(`${bundle}/file`, "");
  symlinkSync("file", `${bundle}/link`);
  symlinkSync("nowhere", `${bundle}/dangling`);
});
afterAll(() => rmSync(bundle, { recursive: true, force: true }));

const specOf = (...mounts: Mount[]): Spec => ({ ociVersion: "1.3.0", mounts });
const bind = (source: string, destination = "/x", ...options: string[]): Mount => ({
  destination,
  source,
  options: ["rbind", ...options],
});

test("bind sources are files, links or parts of procfs", () => {
  const spec = specOf(
    bind("dir"),
    bind("file"),
    bind("link", "/link"),
    bind("dangling", "/d", "copy-symlink"),
    bind("/proc", "/proc/."),
    { destination: "/a", source: "gone", type: "tmpfs" },
  );
  expect(bindSources(spec, bundle)).toEqual({
    fileSources: new Set(["file", "link"]),
    linkSources: new Map([["dangling", "nowhere"]]),
    procSources: new Set(["/proc"]),
  });
  expect(bindSources(specOf(bind("dangling", "/d", "src-nofollow")), bundle).fileSources).toEqual(new Set(["dangling"]));
  expect(bindSources(specOf(bind("/tmp", "/proc")), bundle).procSources.size).toBe(0);
});

test("a missing source is named", () => {
  expect(() => bindSources(specOf(bind("gone", "/x")), bundle)).toThrow("mount source gone for /x: ENOENT");
});

test("a tmpfs has the mode of what it covers in the image, links followed inside the root", () => {
  const tmpfs = (destination: string): Mount => ({ destination, type: "tmpfs" });
  const spec = specOf(tmpfs("/run"), tmpfs("/run/below"), tmpfs("/var/run"), tmpfs("/out"), tmpfs("/new"), bind("dir", "/y"));
  const root = openDir(`${bundle}/root`);
  try {
    expect(tmpfsModes(spec, root)).toEqual({ 0: 0o1750, 2: 0o1750 });
  } finally {
    close(root);
  }
});
