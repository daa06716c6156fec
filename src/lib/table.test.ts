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

test("characters are counted, not bytes", () => {
  expect(table(["NAME AND MORE", "X"], [["옹기", "y"]])).toEqual(["NAME AND MORE   X", "옹기              y"]);
});

test("rows without tabs pass through", () => {
  expect(alignTabs(["plain", ""])).toEqual(["plain", ""]);
});

test("ellipsis", () => {
  expect(ellipsis("short", 20)).toBe("short");
  expect(ellipsis('"sleep 1000 and much more"', 20)).toBe('"sleep 1000 and muc…');
});
