import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Flags, parseFlags, UsageError } from "./parse.ts";

const flags = {
  bundle: { kind: "string", short: "b", help: "" },
  detach: { kind: "bool", short: "d", help: "" },
  fds: { kind: "int", help: "" },
  env: { kind: "list", short: "e", help: "" },
  gids: { kind: "ints", short: "g", help: "" },
  span: { kind: "string", help: "", check: (text) => text.endsWith("s") },
} as const satisfies Flags;

const parse = (argv: string[], mixed = true) => parseFlags(flags, argv, mixed);

describe("values", () => {
  test.each([
    [["--bundle", "/b"], { bundle: "/b" }],
    [["-bundle", "/b"], { bundle: "/b" }],
    [["-b", "/b"], { bundle: "/b" }],
    [["--b=/b"], { bundle: "/b" }],
    [["-b=a=b"], { bundle: "a=b" }],
    [["-b="], { bundle: "" }],
    [["-b", "-d"], { bundle: "-d" }],
    [["--bundle", "--"], { bundle: "--" }],
    [["-b", "1", "-b", "2"], { bundle: "2" }],
    [["-d"], { detach: true }],
    [["--detach=F"], { detach: false }],
    [["-d=1"], { detach: true }],
    [["--fds", "3"], { fds: 3 }],
    [["--fds=-0x10"], { fds: -16 }],
    [["--fds=010"], { fds: 8 }],
    [["--fds=0b11"], { fds: 3 }],
    [["--fds=+0"], { fds: 0 }],
    [["-e", "A=1", "-e=B=2,3"], { env: ["A=1", "B=2,3"] }],
    [["-g", "1", "-g", "010"], { gids: [1, 10] }],
    [["--span", "5s"], { span: "5s" }],
  ] as [string[], object][])("%j", (argv, values) => {
    expect(parse(argv)).toEqual({ values, args: [], help: false });
  });
});

describe("refused", () => {
  test.each([
    [["--nope"], "flag provided but not defined: -nope"],
    [["-nope=1"], "flag provided but not defined: -nope"],
    [["-bd"], "flag provided but not defined: -bd"],
    [["--x"], "flag provided but not defined: -x"],
    [["--__proto__"], "flag provided but not defined: -__proto__"],
    [["---b"], "bad flag syntax: ---b"],
    [["-=b"], "bad flag syntax: -=b"],
    [["--=b"], "bad flag syntax: --=b"],
    [["--bundle"], "flag needs an argument: -bundle"],
    [["-d", "-b"], "flag needs an argument: -b"],
    [["--detach=maybe"], 'invalid boolean value "maybe" for -detach: parse error'],
    [["--help=maybe"], 'invalid boolean value "maybe" for -help: parse error'],
    [["--fds=x"], 'invalid value "x" for flag -fds: parse error'],
    [["--fds="], 'invalid value "" for flag -fds: parse error'],
    [["--fds=08"], 'invalid value "08" for flag -fds: parse error'],
    [["--fds=99999999999999999999"], 'invalid value "99999999999999999999" for flag -fds: value out of range'],
    [["-g", "0x1"], 'invalid value "0x1" for flag -g: strconv.ParseInt: parsing "0x1": invalid syntax'],
    [["--span=5"], 'invalid value "5" for flag -span: parse error'],
    [["-e", "A=1", "--env=B=2"], "Cannot use two forms of the same flag: e env"],
    [["-b", "x", "--bundle", "x"], "Cannot use two forms of the same flag: b bundle"],
  ] as [string[], string][])("%j", (argv, message) => {
    expect(() => parse(argv)).toThrow(new UsageError(message));
  });
});

describe("arguments", () => {
  test.each([
    [["id", "-d", "KILL"], { detach: true }, ["id", "KILL"]],
    [["id", "-b", "/b"], { bundle: "/b" }, ["id"]],
    // what is no flag of the command's is an argument once there is one
    [["id", "-9"], {}, ["id", "-9"]],
    [["id", "---b"], {}, ["id", "---b"]],
    [["-"], {}, ["-"]],
    [["id", "--", "-d", "--"], {}, ["id", "-d", "--"]],
    [["--", "-d"], {}, ["-d"]],
  ] as [string[], object, string[]][])("mixed with flags: %j", (argv, values, args) => {
    expect(parse(argv)).toEqual({ values, args, help: false });
  });

  test.each([
    [["-d", "id", "ls", "-d", "--nope"], { detach: true }, ["id", "ls", "-d", "--nope"]],
    [["id", "--", "x"], {}, ["id", "--", "x"]],
    [["--", "id", "--"], {}, ["id", "--"]],
    [["-", "-d"], {}, ["-", "-d"]],
  ] as [string[], object, string[]][])("after the flags: %j", (argv, values, args) => {
    expect(parse(argv, false)).toEqual({ values, args, help: false });
  });

  test.each([["-h"], ["--help"], ["-help"], ["--help=true"]])("%s asks for help", (word) => {
    expect(parse([word]).help).toBe(true);
    expect(parse(["id", word]).help).toBe(true);
    expect(parse(["id", word], false)).toEqual({ values: {}, args: ["id", word], help: false });
  });
});

test("any list of words is parsed or refused, and no word of the arguments is invented", () => {
  const spelled = Object.keys(flags).flatMap((name) => [`--${name}`, `-${name[0]}`, `--${name}=1`, `-${name}=x`]);
  const word = fc.oneof(fc.constantFrom(...spelled, "--", "-", "-h", "id", "5", "true"), fc.string());
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), fc.boolean(), (argv, mixed) => {
      try {
        const { args, values } = parse(argv, mixed);
        let from = 0;
        for (const arg of args) {
          const at = argv.indexOf(arg, from);
          expect(at).toBeGreaterThanOrEqual(from);
          from = at + 1;
        }
        for (const name of Object.keys(values)) expect(name in flags).toBe(true);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
      }
    }),
    { numRuns: 500 },
  );
});

test("what is written is what is read", () => {
  fc.assert(
    fc.property(fc.string(), fc.boolean(), fc.array(fc.string()), fc.nat(), (bundle, detach, env, fds) => {
      const argv = [`--bundle=${bundle}`, `--detach=${detach}`, ...env.flatMap((one) => ["-e", one]), "--fds", String(fds), "id"];
      const values = { bundle, detach, fds, ...(env.length > 0 ? { env } : {}) };
      expect(parse(argv, false)).toEqual({ values, args: ["id"], help: false });
    }),
  );
});
