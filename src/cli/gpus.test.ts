import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "./errors.ts";
import { parseGpus } from "./gpus.ts";

describe("--gpus", () => {
  test.each([
    ["all", { count: -1, capabilities: [["gpu"]] }],
    ["2", { count: 2, capabilities: [["gpu"]] }],
    ["count=all,capabilities=utility", { count: -1, capabilities: [["utility", "gpu"]] }],
    ["device=0", { ids: ["0"], capabilities: [["gpu"]] }],
    ['"device=0,GPU-1",driver=nvidia', { driver: "nvidia", ids: ["0", "GPU-1"], capabilities: [["gpu"]] }],
    ["driver=nvidia", { driver: "nvidia", count: 1, capabilities: [["gpu"]] }],
    ['1,"options=a=b,c"', { count: 1, capabilities: [["gpu"]], options: { a: "b", c: "" } }],
  ])("%s", (given, expected) => {
    expect(parseGpus(given, "--gpus")).toEqual(expected as never);
  });

  test.each([
    ["many", '"many" is neither all nor a number'],
    ["1,count=2", "count is there twice"],
    ["gpu=1", 'there is no "gpu"'],
    ['"device=0', "a quote has no end"],
  ])("%s is refused", (given, message) => {
    expect(() => parseGpus(given, "--gpus")).toThrow(message);
  });

  test("of garbage is read or refused", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(fc.constantFrom('"', ",", "=", "device", "1", "options", "a")).map((words) => words.join("")),
        ),
        (given) => {
          try {
            expect(parseGpus(given, "--gpus").capabilities?.[0]?.at(-1)).toBe("gpu");
          } catch (error) {
            expect(error).toBeInstanceOf(UsageError);
          }
        },
      ),
    );
  });
});
