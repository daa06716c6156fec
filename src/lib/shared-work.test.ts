import { expect, test } from "bun:test";
import { SharedWork } from "./shared-work.ts";

const never = new AbortController().signal;
const nobody = (): void => {};

test("two who want the same wait for one piece of work, and both hear of it", async () => {
  const shared = new SharedWork<number, string>();
  const heard: string[] = [];
  let times = 0;
  const gate = Promise.withResolvers<void>();
  const work = async (_: AbortSignal, tell: (step: string) => void) => {
    times += 1;
    await gate.promise;
    tell("half");
    return 7;
  };
  const both = [1, 2].map((who) => shared.join("a", work, never, (step) => heard.push(`${who} ${step}`)));
  gate.resolve();
  expect(await Promise.all(both)).toEqual([7, 7]);
  expect([times, heard]).toEqual([1, ["1 half", "2 half"]]);
  expect(await shared.join("a", async () => 8, never, nobody)).toBe(8);
});

test("who leaves does not take the work away; the last one does, and the next begins anew", async () => {
  const shared = new SharedWork<string, never>();
  const [first, second] = [new AbortController(), new AbortController()];
  let aborted = false;
  const work = (signal: AbortSignal) =>
    new Promise<string>((_, reject) => {
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      });
    });
  const waiting = [first, second].map(({ signal }) => shared.join("a", work, signal, nobody));
  first.abort(new Error("first left"));
  expect(waiting[0]).rejects.toThrow("first left");
  await Bun.sleep(0);
  expect(aborted).toBe(false);
  second.abort(new Error("second left"));
  expect(waiting[1]).rejects.toThrow("second left");
  await Bun.sleep(0);
  expect(aborted).toBe(true);
  expect(await shared.join("a", async () => "new", never, nobody)).toBe("new");
});

test("a failure reaches everybody, and is not kept", async () => {
  const shared = new SharedWork<string, never>();
  const work = async () => {
    throw new Error("broken");
  };
  const results = await Promise.allSettled([1, 2].map(() => shared.join("a", work, never, nobody)));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(await shared.join("a", async () => "well", never, nobody)).toBe("well");
});
