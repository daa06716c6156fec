import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "./errors.ts";
import { bool, choice, HelpWanted, integer, list, parseFlags, text } from "./flags.ts";

const flags = {
  interactive: bool("i", ""),
  tty: bool("t", ""),
  rm: bool("", ""),
  env: list("e", "KEY", ""),
  name: text("", "NAME", "", { aliases: ["called"] }),
  memory: text("m", "SIZE", ""),
  number: integer("n", "N", ""),
  driver: choice("", ["json-file", "none"], ""),
};
const parse = (line: string, interspersed = false) => parseFlags(flags, line === "" ? [] : line.split(" "), interspersed);

describe("parseFlags", () => {
  test.each([
    ["-it --rm image -x", { interactive: true, tty: true, rm: true }, ["image", "-x"]],
    ["-i -t image", { interactive: true, tty: true }, ["image"]],
    ["-ite A=1 image", { interactive: true, tty: true, env: ["A=1"] }, ["image"]],
    ["-eA=1 -e B --env=C --env D image", { env: ["A=1", "B", "C", "D"] }, ["image"]],
    ["-e=A image", { env: ["A"] }, ["image"]],
    ["-m64m image", { memory: "64m" }, ["image"]],
    ["-m=64m image", { memory: "64m" }, ["image"]],
    ["-itm 64m image", { interactive: true, tty: true, memory: "64m" }, ["image"]],
    ["--name a --name b image", { name: "b" }, ["image"]],
    ["--called=a image", { name: "a" }, ["image"]],
    ["--name= image", { name: "" }, ["image"]],
    ["--rm=false -i=0 -t=true x", { rm: false, interactive: false, tty: true }, ["x"]],
    ["-n -5 x", { number: -5 }, ["x"]],
    ["--driver none", { driver: "none" }, []],
    ["--rm -- -i x", { rm: true }, ["-i", "x"]],
    ["- x", {}, ["-", "x"]],
    ["", {}, []],
  ] as const)("%s", (line, values, args) => {
    expect(parse(line)).toEqual({ values, args: [...args] } as never);
  });

  test("flags among the arguments, for commands that allow it", () => {
    expect(parse("a -i b --name x", true)).toEqual({ values: { interactive: true, name: "x" }, args: ["a", "b"] });
    expect(parse("a -- -i", true)).toEqual({ values: {}, args: ["a", "-i"] });
  });

  test.each([
    ["--nope", "unknown flag: --nope"],
    ["-x", "unknown shorthand flag: -x"],
    ["-ix", "unknown shorthand flag: -x in -ix"],
    ["--name", "flag needs an argument: --name"],
    ["-m", "flag needs an argument: -m"],
    ["--rm=maybe", "--rm is on or off"],
    ["-n 1.5", '-n "1.5" is not a whole number'],
    ["--driver syslog", '--driver "syslog" is not one of json-file, none'],
    ["--constructor", "unknown flag: --constructor"],
  ])("refuses %s", (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });

  test("help", () => {
    expect(() => parse("-i --help")).toThrow(HelpWanted);
    expect(() => parse("-h")).toThrow(HelpWanted);
    expect(parse("image --help").args).toEqual(["image", "--help"]);
  });

  test("gives values or a UsageError, whatever it reads", () => {
    const word = fc.oneof(
      fc.string({ maxLength: 6 }),
      fc.constantFrom("-i", "-it", "--name", "--env=x", "--", "-", "-n", "3", "--rm=x"),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 8 }), fc.boolean(), (argv, interspersed) => {
        try {
          const { args } = parseFlags(flags, argv, interspersed);
          expect(argv).toEqual(expect.arrayContaining(args));
        } catch (error) {
          expect(error instanceof UsageError || error instanceof HelpWanted).toBe(true);
        }
      }),
    );
  });
});
