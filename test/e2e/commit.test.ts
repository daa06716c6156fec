import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox, sh } from "../kit/images.ts";

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  await bootstrapBusybox(engine);
  await engine.ok([
    "run",
    "--name",
    "potter",
    "busybox",
    "sh",
    "-c",
    "mkdir -p /kiln/old/deep; echo clay > /kiln/old/deep/a; echo pot > /kiln/pot; echo x > /kiln/gone",
  ]);
  await engine.ok(["commit", "potter", "kiln:1"]);
  await engine.ok(["rm", "potter"]);
});
afterAll(() => engine.close(), 120_000);

const userns = [
  ["with a user namespace", []],
  ["without a user namespace", ["--userns", "host"]],
] as const;

const CHANGE = [
  "rm /kiln/gone",
  "rm -r /kiln/old && mkdir /kiln/old && echo new > /kiln/old/b",
  "echo more >> /kiln/pot",
  "echo own > /kiln/owned && chown 12:34 /kiln/owned && chmod 4755 /kiln/owned",
  "ln /kiln/owned /kiln/twin && ln -s pot /kiln/link",
  "mkfifo /kiln/fifo",
].join(" && ");

describe.each(userns)("a container %s", (_, flags) => {
  test("diff tells what it has changed, commit makes an image of it", async () => {
    const name = `c${flags.length}`;
    await engine.ok(["run", ...flags, "--name", name, "kiln:1", "sh", "-c", CHANGE]);
    expect((await engine.ok(["diff", name])).split("\n")).toEqual([
      "C /kiln",
      "A /kiln/fifo",
      "D /kiln/gone",
      "A /kiln/link",
      "C /kiln/old",
      "A /kiln/old/b",
      "D /kiln/old/deep",
      "A /kiln/owned",
      "C /kiln/pot",
      "A /kiln/twin",
    ]);
    const id = await engine.ok([
      "commit",
      "-a",
      "me",
      "-m",
      "fired",
      "-c",
      "ENV GLAZE=green",
      "-c",
      'CMD ["cat", "/kiln/pot"]',
      name,
      `fired:${name}`,
    ]);
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await engine.ok(["run", "--rm", ...flags, `fired:${name}`])).toBe("pot\nmore");
    const look = "ls /kiln /kiln/old; stat -c '%u:%g %a %h' /kiln/owned; readlink /kiln/link; echo $GLAZE";
    expect((await engine.ok(["run", "--rm", ...flags, `fired:${name}`, "sh", "-c", look])).split("\n")).toEqual([
      "/kiln:",
      "fifo",
      "link",
      "old",
      "owned",
      "pot",
      "twin",
      "",
      "/kiln/old:",
      "b",
      "12:34 4755 2",
      "pot",
      "green",
    ]);
    await engine.ok(["rm", name]);
  });

  test("export gives the whole file system with the ids inside, and GNU tar reads it", async () => {
    const name = `e${flags.length}`;
    await engine.ok(["run", ...flags, "--name", name, "kiln:1", "sh", "-c", CHANGE]);
    const file = join(engine.base, `${name}.tar`);
    await engine.ok(["export", "-o", file, name]);
    const listing = sh(["sh", "-c", `tar --numeric-owner -tvf ${file}`]);
    expect(listing).toMatch(/^-rwsr-xr-x 12\/34 +4 .* kiln\/owned$/m);
    expect(listing).toMatch(/^hrwsr-xr-x 12\/34 .* kiln\/twin link to kiln\/owned$/m);
    expect(listing).toMatch(/^prw-r--r-- 0\/0 .* kiln\/fifo$/m);
    expect(listing).toMatch(/^dr-xr-xr-x 0\/0 .* proc\/$/m);
    expect(listing).not.toMatch(/ (proc|dev|sys)\/./);
    expect(listing).not.toMatch(/kiln\/gone|kiln\/old\/deep/);
    await engine.ok(["rm", name]);
  });
});

test("a running container is frozen for a commit and runs on after it", async () => {
  await engine.ok(["run", "-d", "--name", "live", "kiln:1", "sleep", "1000"]);
  await engine.ok(["exec", "live", "sh", "-c", "echo now > /kiln/now"]);
  await engine.ok(["commit", "live", "live:1"]);
  expect((await engine.inspect("live")).State.Status).toBe("running");
  expect((await engine.onggi(["commit", "-c", "BAKE it", "live"])).stderr).toMatch(/BAKE it/);
  expect((await engine.inspect("live")).State.Status).toBe("running");
  expect(await engine.ok(["exec", "live", "cat", "/kiln/now"])).toBe("now");
  expect(await engine.ok(["run", "--rm", "live:1", "cat", "/kiln/now"])).toBe("now");
  await engine.ok(["rm", "-f", "live"]);
});

test("what only was copied up is no change", async () => {
  await engine.ok(["run", "--name", "same", "kiln:1", "sh", "-c", "chmod 600 /kiln/pot; chmod 644 /kiln/pot"]);
  expect(await engine.ok(["diff", "same"])).toBe("");
  await engine.ok(["rm", "same"]);
});

test("an export reads nothing outside of the container while links are swapped in", async () => {
  const swap =
    "mkdir /d; while :; do mkdir /d/x; echo in > /d/x/shadow; rm -r /d/x; ln -s /etc /d/x; rm /d/x; ln -s /etc/shadow /d/x; rm /d/x; done";
  await engine.ok(["run", "-d", "--name", "swap", "kiln:1", "sh", "-c", swap]);
  const file = join(engine.base, "swap.tar");
  for (let round = 0; round < 10; round++) {
    await engine.ok(["export", "-o", file, "swap"]);
    const names = sh(["sh", "-c", `tar -tf ${file}`])
      .split("\n")
      .filter((name) => name.startsWith("d/x"));
    for (const name of names) expect(["d/x", "d/x/", "d/x/shadow"]).toContain(name);
    expect(["", "in\n"]).toContain(sh(["sh", "-c", `tar -xOf ${file} d/x/shadow 2>/dev/null || true`]));
  }
  await engine.ok(["rm", "-f", "swap"]);
}, 60_000);

test("long and odd names pass through commit and export", async () => {
  const long = "n".repeat(200);
  const odd = "$(printf 'a\\377b')";
  await engine.ok(["run", "--name", "odd", "kiln:1", "sh", "-c", `mkdir /o; echo l > /o/${long}; echo o > "/o/${odd}"`]);
  await engine.ok(["commit", "odd", "odd:1"]);
  expect(await engine.ok(["run", "--rm", "odd:1", "sh", "-c", `cat /o/${long} "/o/${odd}"`])).toBe("l\no");
  const file = join(engine.base, "odd.tar");
  await engine.ok(["export", "-o", file, "odd"]);
  expect(sh(["sh", "-c", `tar -xOf ${file} o/${long}; tar -xOf ${file} "o/${odd}"`])).toBe("l\no\n");
  await engine.ok(["rm", "odd"]);
});
