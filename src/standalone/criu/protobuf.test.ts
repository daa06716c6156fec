import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import { decodeMessage, encodeMessage, type Field, type Raw } from "./protobuf.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const fieldNumber = fc.integer({ min: 1, max: 200 });
const value = fc.oneof(fc.boolean(), fc.integer(), fc.string({ unit: "binary" }), fc.uint8Array());
const fields: fc.Arbitrary<Field[]> = fc.array(fc.tuple(fieldNumber, value));

/** What a decoder makes of a field. */
const raw = (given: Field[1]): Raw => {
  if (typeof given === "boolean" || typeof given === "number") return BigInt.asUintN(64, BigInt(given));
  return typeof given === "string" ? new TextEncoder().encode(given) : (given as Uint8Array);
};

describe("encodeMessage", () => {
  // the examples of protobuf.dev, "Encoding"
  test.each<[string, Field[], string]>([
    ["a number", [[1, 150]], "089601"],
    ["a string", [[2, "testing"]], "120774657374696e67"],
    ["a message", [[3, encodeMessage([[1, 150]])]], "1a03089601"],
    ["a negative number", [[1, -2]], "08feffffffffffffffff01"],
    ["a bool", [[1, true]], "0801"],
    ["a high field number", [[44, "/x"]], "e202022f78"],
    [
      "a repeated field",
      [
        [4, 1],
        [4, 2],
      ],
      "20012002",
    ],
    ["nothing", [[4, undefined]], ""],
  ])("%s", (_, given, bytes) => {
    expect(hex(encodeMessage(given))).toBe(bytes);
  });

  test("what is encoded is decoded", () => {
    fc.assert(
      fc.property(fields, (given) => {
        const expected = new Map<number, Raw[]>();
        for (const [number, one] of given) expected.set(number, [...(expected.get(number) ?? []), raw(one)]);
        expect(decodeMessage(encodeMessage(given))).toEqual(expected);
      }),
    );
  });
});

describe("decodeMessage", () => {
  test("any bytes are a message or refused by code", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          decodeMessage(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
          expect((error as OnggiError).code).toBe("criu_failed");
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("a message that is cut short inside a field is refused", () => {
    fc.assert(
      fc.property(fieldNumber, fc.string({ minLength: 1 }), fc.nat(), (number, text, cut) => {
        const bytes = encodeMessage([[number, text]]);
        const length = 1 + (cut % (bytes.length - 1));
        expect(() => decodeMessage(bytes.subarray(0, length))).toThrow("it ends too early");
      }),
    );
  });

  test("fixed numbers of 32 and 64 bits are passed over", () => {
    expect(decodeMessage(Buffer.from("0d01000000090200000000000000" + "1003", "hex")).get(2)).toEqual([3n]);
  });

  test.each([
    ["field number 0", "0001"],
    ["a group", "0b"],
    ["a number of eleven bytes", "08ffffffffffffffffffff01"],
    ["a length beyond the end", "0aff01"],
  ])("%s is refused", (_, bytes) => {
    expect(() => decodeMessage(Buffer.from(bytes, "hex"))).toThrow(OnggiError);
  });
});
