import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "./errors.ts";
import { compile } from "./template.ts";

const data = {
  ID: "abc",
  Name: "web",
  Names: ["a", "b"],
  State: { Running: true, Pid: 42, Error: "", Deep: { Er: [{ X: 1 }, { X: 2 }] } },
  Labels: { app: "x", "com.example/a": "1" },
  Empty: [] as string[],
  Null: null,
  pid: 7,
  Label: (key: unknown) => (key === "app" ? "x" : ""),
};
const render = (source: string): string => compile(source)(data);

describe("renders", () => {
  test.each([
    ["plain", "plain"],
    ["{{.ID}} {{.Name}}", "abc web"],
    ["{{ .State.Pid }}", "42"],
    ["{{.Pid}}", "7"],
    ["{{$.State.Running}}", "true"],
    ["{{json .State.Deep}}", '{"Er":[{"X":1},{"X":2}]}'],
    ["{{.Names}} {{.Labels}}", "[a b] map[app:x com.example/a:1]"],
    ['{{join .Names ", "}}', "a, b"],
    ['{{upper .Name}} {{lower "ABC"}} {{title "a b /web x_y"}}', "WEB abc A B /Web X_y"],
    ['{{index .Names 1}} {{index .Labels "com.example/a"}} {{index .Labels "none"}}', "b 1 "],
    ["{{.Labels.app}} {{.Labels.none}}", "x <no value>"],
    ["{{(index .State.Deep.Er 1).X}}", "2"],
    ['{{.Label "app"}}', "x"],
    ['{{"app" | .Label | upper}}', "X"],
    ["{{len .Names}} {{len .Name}}", "2 3"],
    ['{{split "a:b:c" ":" | len}}', "3"],
    ["{{range .Names}}<{{.}}>{{end}}", "<a><b>"],
    ["{{range $i, $n := .Names}}{{$i}}={{$n}};{{end}}", "0=a;1=b;"],
    ["{{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}", "app=x com.example/a=1 "],
    ["{{range .Empty}}x{{else}}none{{end}}", "none"],
    ['{{range .Names}}{{if eq . "b"}}{{break}}{{end}}{{.}}{{end}}', "a"],
    ['{{range .Names}}{{if eq . "a"}}{{continue}}{{end}}{{.}}{{end}}', "b"],
    ["{{if .State.Running}}up{{else}}down{{end}}", "up"],
    ["{{if .State.Error}}e{{else if .State.Running}}ok{{else}}-{{end}}", "ok"],
    ["{{with .State}}{{.Pid}}{{end}}{{with .Null}}x{{else}}nil{{end}}", "42nil"],
    ["{{with $x := .State.Pid}}{{$x}}{{end}}", "42"],
    ["{{$x := 1}}{{$x = 2}}{{$x}}", "2"],
    ["a {{- .ID -}}  b", "aabcb"],
    ["{{/* nothing */}}x", "x"],
    ['{{println "a" 1}}{{print "a" 1 2 "b"}}', "a 1\na1 2b"],
    ['{{printf "%-5s|%05d|%q|%.1f|%x" "ab" 42 "q" 1.25 255}}', 'ab   |00042|"q"|1.3|ff'],
    ['{{eq .Name "x" "web"}} {{ne 1 2}} {{lt 1 2}} {{ge 2 2}} {{gt "b" "a"}} {{le 3 2}}', "true true true true true false"],
    ["{{and .ID .Empty}} {{or .Empty .ID}} {{not .Empty}}", "[] abc true"],
    ["{{and .Null .Null.Field}}", "<nil>"],
    ["{{slice .ID 0 2}} {{truncate .Name 2}} {{pad .ID 1 1}}|", "ab we  abc |"],
    ['{{`raw "x"`}} {{"a\\tb"}} {{"}}"}}', 'raw "x" a\tb }}'],
    ['{{json .Name | printf "%s!"}}', '"web"!'],
    ['{{json "<&>"}}', '"\\u003c\\u0026\\u003e"'],
    ["{{.Null}}", "<nil>"],
  ])("%s", (source, expected) => expect(render(source)).toBe(expected));
});

describe("refuses", () => {
  test.each([
    "{{.Nope}}",
    "{{.Null.X}}",
    "{{.ID.X}}",
    "{{",
    "{{.ID",
    "{{}}",
    "{{nope .ID}}",
    "{{if .ID}}x",
    "{{end}}",
    "{{range .ID}}{{end}}",
    "{{$x}}",
    "{{index .Names 5}}",
    "{{.ID | | json}}",
    "{{(.ID}}",
    "{{1 2}}",
    '{{lt 1 "a"}}',
    "{{.ID 1}}",
  ])("%s", (source) => {
    expect(() => render(source)).toThrow(OnggiError);
  });

  test("a missing field with the ones there are", () => {
    expect(() => render("{{.State.Foo}}")).toThrow(
      "can't evaluate field Foo at <.State.Foo>; there are Running, Pid, Error, Deep",
    );
  });
});

test("throws nothing but its own errors, whatever it is given", () => {
  const bits = fc.constantFrom(
    "{{",
    "}}",
    ".ID",
    ".State",
    "range",
    "if",
    "end",
    "else",
    "|",
    "(",
    ")",
    "$x",
    ":=",
    '"s"',
    "1",
    " ",
    "json",
    "-",
    ".",
    ",",
    "index",
    "`",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(bits, fc.string({ maxLength: 3 })), { maxLength: 15 }), (parts) => {
      try {
        render(parts.join(""));
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    }),
    { numRuns: 2000 },
  );
});
