// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables are the matter
import { expect, test } from "bun:test";
import fc from "fast-check";
import { InterpolationError, substitute, variablesOf } from "./interpolate.ts";

const variables: Record<string, string> = { SET: "set", EMPTY: "", _under1: "u" };
const filled = (text: string, unset?: (name: string) => void): string =>
  substitute(text, (name) => (Object.hasOwn(variables, name) ? variables[name] : undefined), unset);

test.each([
  ["$SET", "set"],
  ["${SET}", "set"],
  ["a$SET.b", "aset.b"],
  ["$_under1", "u"],
  ["$$SET $${SET}", "$SET ${SET}"],
  ["cost: 5$", "cost: 5$"],
  ["$5 $-", "$5 $-"],
  ["${SET-d} ${EMPTY-d} ${NO-d}", "set  d"],
  ["${SET:-d} ${EMPTY:-d} ${NO:-d}", "set d d"],
  ["${SET+a} ${EMPTY+a} ${NO+a}", "a a "],
  ["${SET:+a} ${EMPTY:+a} ${NO:+a}", "a  "],
  ["${SET?m} ${EMPTY?m}", "set "],
  ["${SET:?m}", "set"],
  ["${NO:-${ALSO_NO:-$SET}}", "set"],
  ["${NO:-a${NO-b${SET}c}d}", "absetcd"],
  ["${NO:-a:b?c}", "a:b?c"],
  ["${NO:-{x}}", "{x}"],
  ["${SET:+{{.Field}}}", "{{.Field}}"],
  ["${SET:-$NO}", "set"],
])("%s", (text, result) => {
  expect(filled(text)).toBe(result);
});

test.each([
  ["a ${", 2, "is not a variable"],
  ["${}", 0, "is not a variable"],
  ["${1A}", 0, "is not a variable"],
  ["${SET!x}", 0, "is not a variable"],
  ["${SET", 0, "is not a variable"],
  ["${NO:-x", 0, "has no closing brace"],
  ["${NO:?}", 0, "required variable NO is missing a value"],
  ["x ${NO?give it to me, $SET}", 2, "required variable NO is missing a value: give it to me, set"],
  ["${EMPTY:?no}", 0, "required variable EMPTY is missing a value: no"],
  ["${NO:-ab${1}}", 8, "is not a variable"],
])("%s is refused where it is wrong", (text, offset, message) => {
  let thrown: unknown;
  try {
    filled(text);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(InterpolationError);
  expect(thrown).toMatchObject({ offset, message: expect.stringContaining(message) });
});

test("a variable that is not set is empty, and told", () => {
  const told: string[] = [];
  expect(filled("[$NO ${NO2} ${NO3-} $SET]", (name) => told.push(name))).toBe("[   set]");
  expect(told).toEqual(["NO", "NO2"]);
});

test("variables are found, those in others too", () => {
  expect(variablesOf("$A ${B:-${C?m}} $$D")).toEqual([
    { name: "A" },
    { name: "B", operator: ":-", operand: "${C?m}" },
    { name: "C", operator: "?", operand: "m" },
  ]);
});

test("any text is filled in or refused; what has no dollar sign stays, and doubled dollar signs bring any text through", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom("$", "{", "}", ":", "-", "?", "+", "A", "SET", " ", "\n", "é")), (parts) => {
      const text = parts.join("");
      expect(filled(text.replaceAll("$", "$$$$"))).toBe(text);
      expect(filled(text.replaceAll("$", ""))).toBe(text.replaceAll("$", ""));
      try {
        filled(text);
      } catch (error) {
        expect(error).toBeInstanceOf(InterpolationError);
      }
    }),
  );
});

test("depth has an end", () => {
  const text = "${NO:-".repeat(1000) + "}".repeat(1000);
  expect(() => filled(text)).toThrow("variables in variables");
  expect(variablesOf(text).length).toBeLessThan(100);
});
