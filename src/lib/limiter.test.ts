import { expect, test } from "bun:test";
import { Limiter } from "./limiter.ts";

test("no more than so many run at once, in order, failures give their place back", async () => {
  const limiter = new Limiter(2);
  const begun: number[] = [];
  let running = 0;
  let most = 0;
  const results = await Promise.allSettled(
    Array.from({ length: 9 }, (_, number) =>
      limiter.run(async () => {
        begun.push(number);
        most = Math.max(most, ++running);
        await Bun.sleep(1);
        running -= 1;
        if (number % 3 === 0) throw new Error(`${number}`);
        return number;
      }),
    ),
  );
  expect(most).toBe(2);
  expect(begun).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
  expect(results.map(({ status }) => status === "fulfilled")).toEqual(Array.from({ length: 9 }, (_, n) => n % 3 !== 0));
});

test("a place is given back once, however often it is said", async () => {
  const limiter = new Limiter(1);
  const leave = await limiter.enter();
  const order: string[] = [];
  const second = limiter.enter().then((leaveIt) => {
    order.push("second");
    return leaveIt;
  });
  const third = limiter.enter().then(() => order.push("third"));
  leave();
  leave();
  const leaveSecond = await second;
  await Promise.resolve();
  expect(order).toEqual(["second"]);
  leaveSecond();
  await third;
  expect(order).toEqual(["second", "third"]);
});

test("more and fewer places from now on: those inside stay", async () => {
  const limiter = new Limiter(1);
  const inside: number[] = [];
  const leaves: (() => void)[] = [];
  const entered = [0, 1, 2, 3].map((number) =>
    limiter.enter().then((leave) => {
      inside.push(number);
      leaves[number] = leave;
    }),
  );
  await entered[0];
  limiter.most = 3;
  await entered[2];
  expect(inside).toEqual([0, 1, 2]);
  limiter.most = 2;
  leaves[0]?.();
  await Bun.sleep(1);
  expect(inside).toEqual([0, 1, 2]);
  leaves[1]?.();
  await entered[3];
  expect(inside).toEqual([0, 1, 2, 3]);
});
