/**
 * Copies into and out of volumes, as CVE-2019-14271 and CVE-2018-15664 were of `docker cp`. Attacks: an image whose VOLUME is a link
 * out of it, so that the volume is filled with the host's files; a volume that is exported or cloned while a container in it exchanges
 * a directory for a link to /; an archive that writes through a link it has brought itself.
 *
 * What stops them: the engine runs nothing of a container's and enters no root of one; names are opened one component at a time, by
 * descriptor, and never followed; what the image has is looked up with the image as the root.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attackImage, attackProgram, plantSecret, SECRET } from "../kit/attack.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { sh } from "../kit/images.ts";
import { tar } from "../kit/tar.ts";
import { volumeImage } from "../kit/volumes.ts";

let engine: Engine;
beforeAll(() => {
  engine = startEngine();
});
afterAll(() => engine.close(), 60_000);

const pathOf = (name: string): Promise<string> => engine.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", name]);
const contents = (path: string): string => sh(["sh", "-c", `cd ${path} && find . -type f -exec cat {} +`]);

test("a volume is not filled through a link out of the image", async () => {
  plantSecret(engine);
  const up = "../".repeat(20);
  for (const [name, link] of [
    ["absolute", engine.base],
    ["relative", `${up}${engine.base.slice(1)}`],
    ["magic", `/proc/self/root${engine.base}`],
  ] as const) {
    await volumeImage(
      engine,
      name,
      [],
      [
        { type: "symlink", name: "data", link },
        { type: "dir", name: "proc" },
      ],
    );
    await engine.ok(["create", "-v", `${name}:/data`, name, "true"]);
    expect(contents(await pathOf(name))).toBe("");
  }
}, 60_000);

test("what is exported or cloned is the volume's, whatever is exchanged meanwhile", async () => {
  const secret = plantSecret(engine);
  await engine.ok(["volume", "create", "busy"]);
  const path = await pathOf("busy");
  mkdirSync(join(path, "dir"));
  writeFileSync(join(path, "dir", "host-secret"), "mine");
  symlinkSync(engine.base, join(path, "link"));
  await attackImage(engine, "race", [{ name: "proc/", type: "5" }], [attackProgram("swap")]);
  const attacker = await engine.ok(["run", "-d", "-v", "busy:/v", "race", "/bin/swap", "/v/dir", "/v/link"]);
  expect(readFileSync(secret, "utf8")).toContain(SECRET);
  for (let round = 0; round < 15; round += 1) {
    expect((await engine.onggi(["volume", "export", "busy"])).stdout).not.toContain(SECRET);
    const { code } = await engine.onggi(["volume", "clone", "-q", "busy", `clone${round}`]);
    if (code === 0) expect(contents(await pathOf(`clone${round}`))).not.toContain(SECRET);
  }
  await engine.ok(["rm", "-f", attacker]);
}, 120_000);

test("an archive writes nothing through a link, nor above its volume", async () => {
  const victim = join(engine.base, "victim");
  mkdirSync(victim);
  const archives = {
    link: [
      { name: "out", type: "2", link: victim },
      { name: "out/file", data: "x" },
    ],
    up: [{ name: "../../../../../../../../../../../../../../../../victim-file", data: "x" }],
    hard: [
      { name: "out", type: "2", link: victim },
      { name: "h", type: "1", link: "out/existing" },
    ],
  };
  writeFileSync(join(victim, "existing"), "untouched");
  for (const [name, entries] of Object.entries(archives)) {
    await engine.onggi(["volume", "import", name], { stdin: tar(entries) });
    expect(sh(["ls", victim])).toBe("existing\n");
    expect(readFileSync(join(victim, "existing"), "utf8")).toBe("untouched");
    expect(existsSync("/victim-file")).toBe(false);
  }
  // wholly or not at all
  expect((await engine.ok(["volume", "ls", "-q"])).split("\n")).not.toContain("link");
}, 60_000);
