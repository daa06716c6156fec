import { expect, test } from "bun:test";
import { load } from "../load/kit.ts";
import { type Trigger, triggersOf } from "./rules.ts";

/** The triggers of one service whose rules are these. */
async function triggers(
  rules: string,
  { more = "", ignore = undefined as string | undefined, services = [] as string[] } = {},
): Promise<Trigger[]> {
  const project = await load(`services:\n  web:\n    image: x\n    develop: {watch: ${rules}}\n    ${more}`);
  const warnings: string[] = [];
  const found = await triggersOf(
    project,
    services,
    async (path) => (path === "/app/ctx/.dockerignore" ? ignore : undefined),
    (path) => !path.endsWith(".file"),
    (message) => warnings.push(message),
  );
  return found;
}

test("a directory's rule covers what is in it, but for what is ignored, and says where it goes", async () => {
  const [trigger] = await triggers("[{path: src, action: sync, target: /srv, ignore: [node_modules, '**/*.log', '!keep.log']}]");
  const covered = (path: string): boolean => trigger!.covers(`/app/src/${path}`);
  expect(["a", "a/b", "keep.log"].filter(covered)).toEqual(["a", "a/b", "keep.log"]);
  expect(["node_modules/x", "a.log", "a/b.log", ".git/HEAD", "a/.b.swp", "a~"].filter(covered)).toEqual([]);
  expect(["/app/src", "/app/srcs/a", "/app", "/app/other"].filter((path) => trigger!.covers(path))).toEqual([]);
  expect(trigger!.targetOf("/app/src/a/b")).toBe("/srv/a/b");
  expect(trigger!.targetOf("/app/src")).toBe("/srv");
});

test("include: only what is named", async () => {
  const [trigger] = await triggers(`[{path: src, action: rebuild, include: ["*.go", "sub/**/*.go"]}]`);
  expect(["a.go", "sub/x/b.go", "a.ts", "other/a.go"].filter((path) => trigger!.covers(`/app/src/${path}`))).toEqual([
    "a.go",
    "sub/x/b.go",
  ]);
});

test("a file's rule covers it alone; with a slash at its end the target is a directory", async () => {
  const [one, two] = await triggers("[{path: a.file, action: sync, target: /x/y}, {path: a.file, action: sync, target: /x/}]");
  expect([one!.covers("/app/a.file"), one!.covers("/app/b.file")]).toEqual([true, false]);
  expect([one!.targetOf("/app/a.file"), two!.targetOf("/app/a.file")]).toEqual(["/x/y", "/x/a.file"]);
});

test(".dockerignore of what is built counts, too", async () => {
  const [trigger] = await triggers("[{path: ctx/src, action: sync, target: /x}]", {
    more: "build: ctx",
    ignore: "# no\nsrc/gen\n**/tmp\n",
  });
  expect(["a", "gen/a", "b/tmp", "x/gen"].filter((path) => trigger!.covers(`/app/ctx/src/${path}`))).toEqual(["a", "x/gen"]);
});

test("what is mounted anyway is not watched; without rules it is refused", async () => {
  const rules = "[{path: src/a, action: sync, target: /x}, {path: other, action: restart}]";
  expect((await triggers(rules, { more: "volumes: [./src:/y]" })).map(({ rule }) => rule.path)).toEqual(["/app/other"]);
  expect(triggers(rules, { services: ["db"] })).rejects.toThrow("none of the selected services is configured for watch");
});
