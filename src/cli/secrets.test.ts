import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseSecret } from "./secrets.ts";

const cwd = mkdtempSync(join(tmpdir(), "onggi-secrets-"));
afterAll(() => rmSync(cwd, { recursive: true }));
writeFileSync(join(cwd, "key"), "s3cret\n");
const parse = (spec: string) => parseSecret(spec, { cwd, env: { TOKEN: "t", EMPTY: "" } });

test("a file, with all there is to say", async () => {
  expect(await parse("id=key,src=key")).toEqual({ name: "key", data: btoa("s3cret\n") });
  expect(await parse("id=key,source=key,target=/etc/key,uid=33,gid=44,mode=0440")).toEqual({
    ...{ name: "key", data: btoa("s3cret\n"), target: "/etc/key", uid: 33, gid: 44, mode: 0o440 },
  });
});

test("a variable, also an empty one", async () => {
  expect(await parse("id=a,env=TOKEN")).toEqual({ name: "a", data: btoa("t") });
  expect(await parse("id=a,env=EMPTY")).toEqual({ name: "a", data: "" });
});

test.each([
  ["src=key", "give it a name by id="],
  ["id=key", "say where it comes from"],
  ["id=key,src=key,env=TOKEN", "say where it comes from"],
  ["id=key,src=none", "ENOENT"],
  ["id=key,env=NONE", "there is no variable NONE"],
  ["id=key,src=", "src needs a value"],
  ["id=key,src=key,mode=rw", "mode=rw is no mode such as 0440"],
  ["id=key,src=key,uid=me", "uid=me is no id"],
  ["id=key,src=key,colour=red", 'no such key: "colour"'],
  ["id=key,src=key,constructor=x", 'no such key: "constructor"'],
])("%s is refused", async (spec, words) => {
  expect(String(await parse(spec).catch((error: Error) => error.message))).toContain(words);
});
