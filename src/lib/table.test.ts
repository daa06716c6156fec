import { expect, test } from "bun:test";
import { alignTabs, ellipsis, table } from "./table.ts";

test("columns are at least ten wide, three apart, and the last is not padded", () => {
  expect(
    table(
      ["CONTAINER ID", "IMAGE", "NAMES"],
      [
        ["0123456789ab", "busybox", "a"],
        ["0123456789ab", "a-longer-image", "bb"],
      ],
    ),
  ).toEqual(["CONTAINER ID   IMAGE            NAMES", "0123456789ab   busybox          a", "0123456789ab   a-longer-image   bb"]);
  expect(table(["ID", "X"], [["1", "y"]])).toEqual(["ID        X", "1         y"]);
});

test("columns of the terminal are counted, not bytes", () => {
  expect(
    table(
      ["NAME AND MORE", "X"],
      [
        ["옹기", "y"],
        ["🏺🏺", "y"],
        ["e\u0301", "y"],
        ["👩‍🔧", "y"],
      ],
    ),
  ).toEqual(["NAME AND MORE   X", "옹기            y", "🏺🏺            y", "e\u0301               y", "👩‍🔧              y"]);
});

test("what a terminal would obey is spelled out, and takes part in the widths", () => {
  expect(table(["A", "B"], [["\u001b[31m\n\t", "\u202ex"]])).toEqual(["A              B", "\\x1b[31m\\n\\t   \\u202ex"]);
});

test("rows without tabs pass through", () => {
  expect(alignTabs(["plain", ""])).toEqual(["plain", ""]);
});

test("ellipsis", () => {
  expect(ellipsis("short", 20)).toBe("short");
  expect(ellipsis('"sleep 1000 and much more"', 20)).toBe('"sleep 1000 and muc…');
  expect(ellipsis("옹기 항아리", 8)).toBe("옹기 항…");
  expect(ellipsis("ab\u001b[31m\u001b[0mcdefghijklm", 5)).toBe("ab\u001b[3…");
  expect(ellipsis("ab", 0)).toBe("");
});
