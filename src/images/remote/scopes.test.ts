import { expect, test } from "bun:test";
import fc from "fast-check";
import { mergeScopes, parseScopes } from "./scopes.ts";

test("a challenge's scopes are read, and merged with what was asked for", () => {
  expect(parseScopes("repository:a/b:pull,push repository(plugin):c:pull registry:catalog:* nonsense a:b:c\u0007")).toEqual([
    "repository:a/b:pull,push",
    "repository(plugin):c:pull",
    "registry:catalog:*",
  ]);
  expect(parseScopes(undefined)).toEqual([]);
  expect(mergeScopes(["repository:a/b:pull", "repository:c:pull"], ["repository:a/b:push,pull"])).toEqual([
    "repository:a/b:pull,push",
    "repository:c:pull",
  ]);
  expect(mergeScopes([], [])).toEqual([]);
});

test("any text has a few scopes or none; merging them again changes nothing", () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^([a-z:,/ ]|repository:)*$/));
  fc.assert(
    fc.property(text, (given) => {
      const scopes = mergeScopes([], parseScopes(given));
      expect(scopes.length).toBeLessThanOrEqual(20);
      expect(mergeScopes(scopes, scopes)).toEqual(scopes);
    }),
  );
});
