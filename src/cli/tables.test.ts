import { afterAll, beforeAll, expect, test } from "bun:test";
import { ControlHarness } from "../../test/control-harness.ts";
import { eventLine } from "./events.ts";
import { renderRows } from "./listing.ts";

/** What others have named must neither move the cursor nor break a row, and scripts get it as it is. */

const hostile = "\u001b]0;owned\u0007\u001b[2J\u009b31m\r\nfake row\u202e";
const spelled = "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\r\\nfake row\\u202e";
/** Line ends are ours: between rows. */
const obeyed = /[\p{Cc}\u202e]/u;
const expectCalm = (text: string): void => {
  for (const line of text.split("\n")) expect(line).not.toMatch(obeyed);
};

const harness = new ControlHarness();
beforeAll(() => harness.start());
afterAll(() => harness.stop());

test("every cell of a table", async () => {
  const listing = { headers: { Name: "NAME", Labels: "LABELS" }, columns: ["Name", "Labels"] };
  const rows = [{ Name: hostile, Labels: `a=${hostile}`, Label: () => hostile }];
  for (const format of [undefined, "table", 'table {{.Name}}\t{{.Label "x"}}', "table {{.Name}}\\t{{.Labels}}"]) {
    const lines = await renderRows(listing, rows, format);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toContain(spelled);
    expectCalm(lines.join(""));
  }
  expect(await renderRows(listing, rows, "{{.Name}}")).toEqual([hostile]);
  expect(JSON.parse((await renderRows(listing, rows, "json"))[0]!)).toEqual({ Name: hostile, Labels: `a=${hostile}` });
});

test("commands that print lines of their own", async () => {
  harness.handlers.top = async () => ({ titles: ["PID", "CMD"], processes: [["1", hostile]] });
  harness.handlers.diff = async () => ({ changes: [{ kind: "A", path: `/${hostile}` }] }) as never;
  for (const argv of [
    ["top", "web"],
    ["diff", "web"],
  ]) {
    const { stdout } = await harness.command(argv);
    expect(stdout).toContain(spelled);
    expectCalm(stdout);
  }
  expectCalm(eventLine({ type: "container", action: "die", id: "abc", attributes: { x: hostile }, timeNano: "1" } as never));
});

test("errors", async () => {
  const { stderr } = await harness.command([hostile]);
  expect(stderr).toContain("there is no command");
  expectCalm(stderr);
});
