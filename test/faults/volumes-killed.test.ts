/**
 * The engine is killed with SIGKILL while it makes, fills, mounts and removes volumes, each round at another moment. Afterwards a
 * volume is there whole or not at all, and nothing is left mounted, no loop device, no anonymous volume without its container.
 *
 * Half of ONGGI_ROUNDS (default 100) rounds of each kind.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { parseMountinfo } from "../../src/sys/index.ts";
import { type Engine, eventually, gone, isAlive, slowness, startEngine } from "../kit/engine.ts";
import { loopsBelow } from "../kit/leaks.ts";
import { volumeImage, volumesOf } from "../kit/volumes.ts";

const rounds = Math.max(12, Math.round(Number(process.env.ONGGI_ROUNDS ?? 100) / 2));
const limit = rounds * 3000 * slowness + 60_000;
const FILES = 300;

let engine: Engine;
beforeAll(async () => {
  engine = startEngine();
  const files = Array.from({ length: FILES }, (_, i) => ({ type: "file" as const, name: `data/d${i % 7}/f${i}`, data: `${i}` }));
  const directories = Array.from({ length: 7 }, (_, i) => ({ type: "dir" as const, name: `data/d${i}` }));
  await volumeImage(engine, "many", ["VOLUME /data"], [{ type: "dir", name: "data", mode: 0o711 }, ...directories, ...files]);
}, 120_000);
afterAll(() => engine.close(), 120_000);

/** Kills the engine at a moment spread evenly over `spanMs` from the start of the command; the command's own end is of no interest. */
async function killDuring(args: readonly string[], round: number, spanMs: number): Promise<void> {
  const pid = await engine.pid();
  const call = engine.spawn(args, { stdin: "", timeout: 30_000 });
  await Bun.sleep((spanMs * slowness * (round + 0.5)) / rounds);
  if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await gone(pid);
  await call.done;
}

const mounted = (): string[] =>
  parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"))
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${realpathSync(engine.root)}/volumes/`));
const directories = (): string[] => readdirSync(join(engine.root, "volumes")).sort();

/** What must hold after every round, and removes all there is. */
async function expectNothingLeft(): Promise<void> {
  const containers = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  expect(directories()).toEqual(await volumesOf(engine));
  if (containers.length > 0) await engine.ok(["rm", "-fv", ...containers]);
  // with its containers everything anonymous is gone
  expect((await volumesOf(engine)).filter((name) => name.length === 64)).toEqual([]);
  expect(mounted()).toEqual([]);
  const left = await volumesOf(engine);
  if (left.length > 0) await engine.ok(["volume", "rm", ...left]);
  expect(directories()).toEqual([]);
}

const count = (path: string): number =>
  readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

test(
  "while a volume is made and filled: it has all that the image has, or is empty or not there",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      // also in use by another one, where it is filled entry by entry
      const inUse = round % 3 === 0;
      if (inUse) await engine.ok(["run", "-d", "-v", "filled:/x:nocopy", "--tmpfs", "/data", "many", "sleep", "1000"]);
      await killDuring(["create", "-v", "filled:/data", "-v", "/other", "many", "true"], round, 60);
      if ((await volumesOf(engine)).includes("filled")) {
        const path = join(engine.root, "volumes/filled/_data");
        expect([0, FILES]).toContain(count(path));
        expect(readdirSync(join(engine.root, "volumes/filled"))).toEqual(["_data"]);
        expect(
          await engine.ok([
            "run",
            "--rm",
            "-v",
            "filled:/data",
            "many",
            "sh",
            "-c",
            "find /data -type f | wc -l; stat -c %a /data",
          ]),
        ).toBe(`${FILES}\n711`);
      }
      await expectNothingLeft();
    }
  },
  limit,
);

test(
  "while volumes of fixed size are made, mounted, let go and removed",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      const kind = round % 3;
      if (kind > 0) await engine.ok(["volume", "create", "-o", "size=4m", "fixed"]);
      if (kind === 0) await killDuring(["volume", "create", "-o", "size=4m", "fixed"], round, 50);
      else if (kind === 1) await killDuring(["run", "--rm", "-v", "fixed:/f", "many", "touch", "/f/file"], round, 60);
      else await killDuring(["volume", "rm", "fixed"], round, 20);
      if ((await volumesOf(engine)).includes("fixed")) {
        await eventually("nobody is at it", async () => (await engine.ok(["ps", "-q"])) === "");
        expect(
          await engine.ok(["run", "--rm", "-v", "fixed:/f", "--tmpfs", "/data", "many", "sh", "-c", "echo x > /f/y; cat /f/y"]),
        ).toBe("x");
      }
      await expectNothingLeft();
    }
    await eventually("no loop device is left", () =>
      loopsBelow(realpathSync(engine.base)).every((line) => !line.includes("/volumes/")),
    );
  },
  limit,
);

test(
  "while a container with anonymous volumes is removed: they are gone with it, or all there",
  async () => {
    for (let round = 0; round < rounds; round += 1) {
      await engine.ok(["run", "--name", "has", "many", "sh", "-c", "echo mine > /data/own"]);
      const keeps = round % 2 === 0;
      await killDuring(["rm", ...(keeps ? [] : ["-v"]), "has"], round, 20);
      const there = (await engine.onggi(["inspect", "has"])).code === 0;
      const names = await volumesOf(engine);
      if (there || keeps) {
        expect(names.length).toBe(1);
        expect(existsSync(join(engine.root, "volumes", names[0]!, "_data/own"))).toBe(true);
      } else expect(names).toEqual([]);
      if (!there && keeps) await engine.ok(["volume", "rm", ...names]);
      await expectNothingLeft();
    }
  },
  limit,
);
