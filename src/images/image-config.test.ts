import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { parseConfig } from "./image-config.ts";

const right = { architecture: "arm64", os: "linux", rootfs: { type: "layers", diff_ids: [] } };
const parse = (value: unknown) => parseConfig(JSON.stringify(value), "x");

test("what is null is absent, what is not known stays", () => {
  const history = [{ created_by: "sh", comment: null, empty_layer: true }];
  expect(parse({ ...right, config: { Cmd: null, Other: 1 }, author: null, history, "os.version": "1" })).toEqual({
    ...right,
    ...{ config: { Other: 1 }, history: [{ created_by: "sh", empty_layer: true }], "os.version": "1" },
  } as never);
  expect(parse({ ...right, history: null, config: null })).toEqual({ ...right, config: {} } as never);
});

test.each([
  [{ variant: 8 }, 'x: "variant" is not a string'],
  [{ created: 5 }, '"created" is not a string'],
  [{ history: {} }, '"history" is not a list of objects'],
  [{ history: [{}, { empty_layer: "no" }] }, '"history[1].empty_layer" is not true or false'],
  [{ config: { OnBuild: "RUN x" } }, '"config.OnBuild" is not a list of strings'],
  [{ config: [] }, '"config" is not an object'],
  [{ os: "windows" }, '"windows" cannot run here'],
  [{ architecture: "" }, '"architecture" is not a string'],
  [{ rootfs: { diff_ids: ["sha256:1"] } }, '"rootfs.diff_ids" is not a list of sha256 digests'],
])("%j is refused with its place", (change, says) => {
  expect(() => parse({ ...right, ...change })).toThrow(says);
});

test("one nested 32 deep is read, one deeper is not", () => {
  // The object itself, and so many lists in it.
  const nested = (depth: number): string => `${JSON.stringify(right).slice(0, -1)},"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  expect(parseConfig(nested(31), "x").os).toBe("linux");
  expect(() => parseConfig(nested(32), "x")).toThrow("nested more than 32 deep");
});

test("any JSON is read or refused with a reason", () => {
  const shape = fc.record(
    {
      ...{ architecture: fc.oneof(fc.constant("amd64"), fc.jsonValue()), os: fc.oneof(fc.constant("linux"), fc.jsonValue()) },
      ...{ rootfs: fc.oneof(fc.constant(right.rootfs), fc.jsonValue()), config: fc.jsonValue(), history: fc.jsonValue() },
      ...{ variant: fc.jsonValue(), author: fc.jsonValue() },
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(shape, (value) => {
      try {
        parse(value);
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    }),
  );
});
