import { afterAll, beforeAll, expect, test } from "bun:test";
import { appendFileSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type LogWatch, watchLog } from "./log-watch.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "onggi-log-watch-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Calls back for each change, until it is closed. */
async function count(watch: LogWatch, seen: () => void, closed: () => boolean): Promise<void> {
  for (;;) {
    await watch.changed();
    if (closed()) return;
    seen();
  }
}

test("everyone hears of writes, renames, new files and truncations; whoever closes hears no more", async () => {
  const path = join(directory, "log");
  writeFileSync(path, "");
  const watches = Array.from({ length: 100 }, () => watchLog(path));
  await Bun.sleep(20);
  for (const change of [
    () => appendFileSync(path, "a"),
    () => renameSync(path, `${path}.1`),
    () => writeFileSync(path, ""),
    () => truncateSync(path),
  ]) {
    for (const watch of watches) watch.wake();
    await Promise.all(watches.map((watch) => watch.changed()));
    const changed = Promise.all(watches.map((watch) => watch.changed()));
    change();
    await changed;
  }
  for (const watch of watches) watch.close();
});

test("what changed before it was asked is told at once, and once", async () => {
  const watch = watchLog(join(directory, "log"));
  watch.wake();
  watch.wake();
  await watch.changed();
  let told = 0;
  let closed = false;
  const counting = count(
    watch,
    () => told++,
    () => closed,
  );
  await Bun.sleep(0);
  expect(told).toBe(0);
  closed = true;
  watch.close();
  watch.close();
  await counting;
});

test("other files of the directory wake nobody; a directory that is not there is waited for", async () => {
  const here = watchLog(join(directory, "other"));
  const gone = watchLog(join(directory, "no/such/log"));
  await Bun.sleep(20);
  here.wake();
  await here.changed();
  appendFileSync(join(directory, "log"), "x");
  const first = await Promise.race([here.changed().then(() => "other"), gone.changed().then(() => "gone")]);
  expect(first).toBe("gone");
  here.close();
  gone.close();
});
