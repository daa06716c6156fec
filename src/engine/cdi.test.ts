import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { readCdi, resolveCdi } from "./cdi.ts";

let base: string;
let dirs: string[];
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), "onggi-cdi-"));
  dirs = ["etc", "run"].map((name) => join(base, name));
  for (const dir of dirs) mkdirSync(dir);
});
afterEach(() => rmSync(base, { recursive: true }));

const json = (name: string, value = "1") =>
  JSON.stringify({ cdiVersion: "0.6.0", kind: "v/c", devices: [{ name, containerEdits: { env: [`A=${value}`] } }] });
const yaml = `
cdiVersion: 0.6.0
kind: v/c
devices:
- name: 0
  containerEdits: &edits
    deviceNodes:
    - {path: /dev/x, hostPath: /dev/null, fileMode: 0660}
- name: all
  containerEdits:
    <<: *edits
`;
const named = (...ids: string[]) => [{ driver: "cdi", ids }];

test("JSON and YAML files of the directories, and no others", () => {
  writeFileSync(join(dirs[0]!, "a.json"), json("a"));
  writeFileSync(join(dirs[0]!, "b.yaml"), yaml);
  writeFileSync(join(dirs[0]!, "c.yml"), "no");
  mkdirSync(join(dirs[0]!, "below"));
  const { devices, problems } = readCdi([...dirs, join(base, "missing")]);
  expect([...devices.keys()]).toEqual(["v/c=0", "v/c=a", "v/c=all"]);
  expect(problems).toEqual([]);
  const node = { path: "/dev/x", hostPath: "/dev/null", fileMode: 0o660 };
  expect(resolveCdi(dirs, named("v/c=all"))).toEqual([{ path: join(dirs[0]!, "b.yaml"), edits: { deviceNodes: [node] } }]);
});

test("the later directory comes first", () => {
  for (const [index, dir] of dirs.entries()) writeFileSync(join(dir, "a.json"), json("a", `${index}`));
  expect(resolveCdi(dirs, named("v/c=a", "v/c=a"))).toEqual([{ path: join(dirs[1]!, "a.json"), edits: { env: ["A=1"] } }]);
});

test("what is wrong with a file is said with its name, and the others count", () => {
  writeFileSync(join(dirs[0]!, "a.json"), json("a"));
  writeFileSync(join(dirs[0]!, "b.json"), "{");
  writeFileSync(join(dirs[0]!, "c.yaml"), "a: [");
  writeFileSync(join(dirs[0]!, "d.json"), json("d"));
  chmodSync(join(dirs[0]!, "d.json"), 0o666);
  symlinkSync("/nowhere", join(dirs[0]!, "e.json"));
  mkdirSync(join(dirs[0]!, "f.json"));
  const { devices, problems } = readCdi(dirs);
  expect([...devices.keys()]).toEqual(["v/c=a"]);
  expect(problems.map((text) => text.slice(dirs[0]!.length + 1, dirs[0]!.length + 7))).toEqual([
    "b.json",
    "c.yaml",
    "d.json",
    "e.json",
    "f.json",
  ]);
  expect(problems[2]).toContain("anybody may write to it; take that away (chmod o-w)");
  expect(() => resolveCdi(dirs, named("v/c=b", "v/c=a", "v/c=d"))).toThrow(
    `CDI device injection failed: unresolvable CDI devices v/c=b, v/c=d; there are v/c=a in ${dirs.join(" and ")}; ${problems[0]}`,
  );
});

test("whatever a file has, the others count", () => {
  writeFileSync(join(dirs[0]!, "a.json"), json("a"));
  const line = fc.constantFrom(
    "cdiVersion: 0.6.0",
    "kind: v/c",
    "devices:",
    "- name: b",
    "  containerEdits: &a",
    "    env: [A=1]",
    "  <<: *a",
    "a: &b [*b, *b]",
    "? {",
    "---",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(line, { maxLength: 9 }).map((lines) => lines.join("\n")),
  );
  fc.assert(
    fc.property(text, fc.constantFrom("json", "yaml"), (content, kind) => {
      writeFileSync(join(dirs[0]!, `b.${kind}`), content);
      const { devices, problems } = readCdi(dirs);
      rmSync(join(dirs[0]!, `b.${kind}`));
      expect(devices.has("v/c=a")).toBe(true);
      expect(devices.size + problems.length).toBeGreaterThan(1);
    }),
  );
});

test("nothing of a directory that anybody may write to is taken", () => {
  writeFileSync(join(dirs[0]!, "a.json"), json("a"));
  chmodSync(dirs[0]!, 0o1777);
  expect(readCdi(dirs)).toMatchObject({
    devices: new Map(),
    problems: [expect.stringContaining(`${dirs[0]}: anybody may write to it`)],
  });
});

test("a name that two files give is nobody's, and both are named", () => {
  for (const name of ["1.json", "2.json"]) writeFileSync(join(dirs[0]!, name), json("a"));
  expect(() => resolveCdi(dirs, named("v/c=a"))).toThrow(`v/c=a is in ${dirs[0]}/1.json and ${dirs[0]}/2.json: it is not used`);
});
