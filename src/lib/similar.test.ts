import { expect, test } from "bun:test";
import { distance, similar } from "./similar.ts";

test("distance counts a swap of neighbours as one edit", () => {
  expect(distance("satrt", "start")).toBe(1);
  expect(distance("", "abc")).toBe(3);
  expect(distance("kitten", "sitting")).toBe(3);
});

test("similar finds the nearest words and nothing far away", () => {
  const commands = ["run", "rm", "rmi", "start", "stop", "stats", "inspect", "images"];
  expect(similar("satrt", commands)).toEqual(["start"]);
  expect(similar("rnu", commands)).toEqual(["run"]);
  expect(similar("insp", commands)).toEqual(["inspect"]);
  expect(similar("frobnicate", commands)).toEqual([]);
});
