import { expect, test } from "bun:test";
import { inputOf, specOf } from "../../test/runtime/plans.ts";
import { compileCreate } from "../runtime/compile.ts";
import { spellFlags, spellNumber } from "./flags.ts";
import { event, type Kind, signatures } from "./ops.ts";
import { explain, explainJson, printPlan } from "./print.ts";

const plan = compileCreate(inputOf(specOf({}, { mounts: [{ destination: "/proc", type: "proc" }] })));

test("an explained plan has its sections, groups, calls and each reason once in a row", () => {
  const text = explain(plan, { column: 60 });
  expect(text).toContain("In the shim, before the process exists\n  cgroups\n    $c = openat2(AT_FDCWD");
  expect(text).toContain("The process is made\n    clone3(CLONE_NEWNS|CLONE_NEWPID|CLONE_INTO_CGROUP, cgroup=$c)\n");
  expect(text).toMatch(/ {2}devices\n.* {2}mount \/dev\n/);
  expect(text.match(/ {2}mount \/proc$/gm)).toHaveLength(1);
  expect(text).not.toContain("\x1b");
  expect(explain(plan, { colour: true })).toContain("\x1b[36mmounts\x1b[0m");
});

test("what is written before the plan comes first", () => {
  const written = [{ file: "/c/memory.max", value: "64", limit: "memory.limit" }];
  const text = explain(plan, { column: 40, written });
  expect(text).toMatch(
    /^In the engine, before the shim\n {2}cgroups\n {4}write\("\/c\/memory.max", "64"\) +limit memory.limit\n\nIn the shim/,
  );
});

test("as data it has every operation, and is JSON", () => {
  const data = explainJson(plan);
  expect(JSON.parse(JSON.stringify(data)).operations).toHaveLength(plan.before.length + plan.after.length + plan.child.length);
  expect(data.operations.at(-1)).toEqual({
    section: "child",
    index: plan.child.length - 1,
    group: "process",
    why: "run /bin/app",
    kind: "execve",
    call: "execve",
    text: 'execve("/bin/app", ["/bin/app","-v"], {1 variables})',
  });
});

test("a register is named after what it holds, anew each time it is used again", () => {
  const names = printPlan(plan).flatMap(({ out }) => out ?? []);
  expect(new Set(names).size).toBe(names.length);
});

test("numbers are spelled as the manual does", () => {
  expect(spellFlags({ A: 1, B: 2, AB: 3 }, 3n)).toBe("AB");
  expect(spellFlags({ A: 1 }, 9n)).toBe("A|0x8");
  expect(spellNumber("mknod", "dev", (259 << 8) + 44 + 0x100000, {})).toBe("makedev(259, 300)");
  expect(spellNumber("prlimit", "hard", 2n ** 64n - 1n, {})).toBe("RLIM_INFINITY");
  expect(spellNumber("prctl", "arg2", 21, { option: 24 })).toBe("CAP_SYS_ADMIN");
  expect(spellNumber("capset", "effective", 2n ** 41n - 1n, {})).toBe("all");
  expect(spellNumber("notify", "event", event.created, {})).toBe("created");
});

test("every numeric argument of every kind can be spelled", () => {
  for (const [kind, { args }] of Object.entries(signatures) as [Kind, { args: Record<string, string> }][]) {
    for (const [name, type] of Object.entries(args)) {
      if (type !== "int") continue;
      for (const value of [0, 1, 0xffffffff, -1, 2n ** 64n - 1n]) expect(spellNumber(kind, name, value, {})).not.toBe("");
    }
  }
});
