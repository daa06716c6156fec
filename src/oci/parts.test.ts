import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseProcess, parseResources, validateProcess } from "./parts.ts";
import { InvalidSpec } from "./validate.ts";

const process = { cwd: "/", args: ["sh"], user: { uid: 1, gid: 2 } };

test("a process is what config.json has", () => {
  expect(parseProcess(JSON.stringify({ ...process, rlimits: null }))).toEqual(process);
  expect(validateProcess(process)).toEqual(process);
});

test.each([
  [undefined, "process"],
  [{ ...process, cwd: "x" }, "process.cwd"],
  [{ ...process, args: undefined }, "process.args"],
  [{ cwd: "/" }, "process.args"],
  [{ ...process, args: [""] }, "process.args[0]"],
  [{ ...process, rlimits: [{ type: "RLIMIT_CPU", soft: 2, hard: 1 }] }, "process.rlimits[0].soft"],
] as [unknown, string][])("a fault is told with its place: %j", (value, path) => {
  const thrown = (() => {
    try {
      return validateProcess(value);
    } catch (error) {
      return error;
    }
  })();
  expect(thrown).toBeInstanceOf(InvalidSpec);
  expect((thrown as InvalidSpec).path).toBe(path);
});

test("resources", () => {
  expect(parseResources('{"pids":{"limit":3},"memory":null}')).toEqual({ pids: { limit: 3 } });
  expect(parseResources("null")).toEqual({});
  expect(() => parseResources('{"pids":{"limit":"3"}}')).toThrow("linux.resources.pids.limit: want a whole number");
});

test("any text is read or refused", () => {
  const text = fc.oneof(fc.string(), fc.json());
  fc.assert(
    fc.property(text, fc.constantFrom(parseProcess, parseResources), (given, parse) => {
      try {
        parse(given);
      } catch (error) {
        if (!(error instanceof InvalidSpec)) throw error;
      }
    }),
    { numRuns: 300 },
  );
});
