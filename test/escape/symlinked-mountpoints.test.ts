/**
 * Attack: the image has symbolic links where the runtime mounts (/proc, /dev, /sys, /etc/hosts), leading to other places of the
 * image, to the host's tree by "..", or in a circle; the mounts then cover something else, or the host.
 *
 * What stops it: targets are resolved as if the image were the whole world (RESOLVE_IN_ROOT), what must be a directory and
 * is a link is refused or taken inside the root, and all mounts are made in the container's own namespace.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { attackImage, hostMounts, plantSecret, SECRET } from "../kit/attack.ts";
import { type Engine, startEngine } from "../kit/engine.ts";

let engine: Engine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.close(), 60_000);

test.each(
  ["proc", "dev", "sys", "etc", "tmp"].flatMap((name) =>
    ["/elsewhere", "../../../../..", "/", name, "/bin", "nowhere"].map((link) => [name, link]),
  ),
)("/%s a link to %s", async (name, link) => {
  const mounts = hostMounts(engine);
  const [hosts, secret] = [readFileSync("/etc/hosts", "utf8"), plantSecret(engine)];
  const others = ["proc", "dev", "sys", "etc"]
    .filter((other) => other !== name)
    .map((other) => ({ name: `${other}/`, type: "5" }));
  await attackImage(engine, "links", [...others, { name: "elsewhere/", type: "5" }, { name, type: "2", link }]);
  const script = `cat ${secret} /elsewhere${secret} 2>/dev/null; [ -e /proc/self/status ] && echo proc; grep -c 'a host of the attack' /etc/hosts; echo end`;
  const { stdout, stderr, code } = await engine.onggi([
    "run",
    "--rm",
    "--tmpfs",
    "/tmp",
    "links",
    "/bin/busybox",
    "sh",
    "-c",
    script,
  ]);
  expect(stdout).not.toContain(SECRET);
  if (code !== 0) {
    expect(code).toBeOneOf([125, 126, 127]);
    expect(stderr.length).toBeGreaterThan(10);
  } else if (name === "proc" || name === "dev") expect(stdout).toEndWith("end\n");
  expect(readFileSync("/etc/hosts", "utf8")).toBe(hosts);
  expect(hostMounts(engine)).toBe(mounts);
});
