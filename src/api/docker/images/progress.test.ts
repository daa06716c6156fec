import { expect, test } from "bun:test";
import { OnggiError } from "../../../lib/errors.ts";
import { type Message, progressAnswer, stepsTo } from "./progress.ts";

const read = async (work: (tell: (message: Message) => void) => Promise<void>): Promise<Record<string, unknown>[]> => {
  const lines: string[] = [];
  for await (const line of (await progressAnswer(work)).body as AsyncIterable<string>) lines.push(line);
  return lines.map((line) => JSON.parse(line));
};

test("what fails before the first line is thrown, later it is the last line", async () => {
  const failure = new OnggiError("manifest_unknown", "there is none");
  expect(progressAnswer(() => Promise.reject(failure))).rejects.toBe(failure);
  const told = read(async (tell) => {
    tell({ status: "Pulling" });
    await Bun.sleep(1);
    throw failure;
  });
  expect(await told).toEqual([{ status: "Pulling" }, { errorDetail: { message: "there is none" }, error: "there is none" }]);
  expect(await read(async () => {})).toEqual([]);
});

test("amounts go with what moves, words with the rest", async () => {
  const lines = read(async (tell) => {
    const step = stepsTo(tell);
    step({ id: "a", message: "Waiting", current: 0, total: 9 });
    step({ id: "a", message: "Downloading", current: 3, total: 9 });
    step({ id: "a", message: "Pushing", current: 3 });
  });
  expect(await lines).toEqual([
    { id: "a", status: "Waiting", progressDetail: {} },
    { id: "a", status: "Downloading", progressDetail: { current: 3, total: 9 } },
    { id: "a", status: "Pushing", progressDetail: { current: 3 } },
  ]);
});

test("a client that does not read is spared steps, never an end", async () => {
  const lines = await read(async (tell) => {
    for (let i = 0; i < 5000; i += 1) stepsTo(tell)({ id: "a", message: "Downloading", current: i, total: 5000 });
    stepsTo(tell)({ id: "a", message: "Pull complete", current: 5000, total: 5000 });
  });
  expect(lines.length).toBeLessThan(1100);
  expect(lines.at(-1)).toEqual({ id: "a", status: "Pull complete", progressDetail: {} });
});
