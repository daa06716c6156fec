import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import schema from "./compose-spec.json" with { type: "json" };
import { serviceKeys } from "./service.ts";

const documentation = readFileSync(new URL("../../../docs/compose.md", import.meta.url), "utf8");
const keys = Object.keys(schema.$defs.service.properties);

test("docs/compose.md says of every key of a service whether it is there", () => {
  const rows = [...documentation.matchAll(/^\| `(\w+)` \| (\S+) \| (.*) \|$/gm)].map(([, key, state, words]) => ({
    key: key!,
    state: state!,
    words: words!,
  }));
  expect(rows.map(({ key }) => key)).toEqual(keys.toSorted());
  for (const { key, state, words } of rows) {
    expect([key, state]).toEqual([key, expect.stringMatching(/^(done|differs|checked|refused)$/)]);
    if (state === "differs") expect([key, words]).not.toEqual([key, ""]);
  }
});

test("every key of a service is read", () => {
  // these are gone once files are merged, or are Docker's compose's to ignore
  const others = ["extends", "pull_refresh_after"];
  expect([...serviceKeys, ...others].sort()).toEqual(keys.toSorted());
});
