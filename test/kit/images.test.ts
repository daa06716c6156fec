import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { busyboxTar, dockerArchive, manyFilesTar, ociArchive, sh } from "./images.ts";
import { manyFiles, tar } from "./tar.ts";

test("tar writes what GNU tar reads back, mode, owner, type and link target", () => {
  const archive = tar([
    { name: "d/", type: "5", uid: 7, gid: 8 },
    { name: "d/f", data: "hello", mode: 0o600 },
    { name: "d/l", type: "2", link: "f" },
    { name: "d/n", type: "3", major: 1, minor: 3 },
  ]);
  const result = Bun.spawnSync(["tar", "--numeric-owner", "--utc", "-tvf", "-"], { stdin: archive });
  const lines = result.stdout.toString().trim().split("\n");
  expect(lines.map((line) => line.replace(/ {2,}/g, " "))).toEqual([
    "drwxr-xr-x 7/8 0 2023-11-14 22:13 d/",
    "-rw------- 0/0 5 2023-11-14 22:13 d/f",
    "lrw-r--r-- 0/0 0 2023-11-14 22:13 d/l -> f",
    "crw-r--r-- 0/0 1,3 2023-11-14 22:13 d/n",
  ]);
});

test("many files are the same bytes every time, and no two files alike", () => {
  const digest = (): string => {
    const hash = createHash("sha256");
    for (const chunk of manyFiles(250)) hash.update(chunk);
    return hash.digest("hex");
  };
  expect(digest()).toBe(digest());
  expect(
    sh(["tar", "-tf", manyFilesTar(250)])
      .trim()
      .split("\n").length,
  ).toBe(250 + 3 + 1);
});

test("the archives hold what they say", () => {
  expect(sh(["tar", "-tf", busyboxTar()])).toContain("./bin/busybox\n");
  const inspected = JSON.parse(sh(["skopeo", "inspect", "--config", `docker-archive:${dockerArchive()}`]));
  expect(inspected.rootfs.diff_ids.length).toBe(3);
  expect(inspected.config.User).toBe("1000:1000");
  const oci = JSON.parse(sh(["skopeo", "inspect", "--raw", `oci-archive:${ociArchive()}`]));
  expect(oci.layers.length).toBe(3);
});
