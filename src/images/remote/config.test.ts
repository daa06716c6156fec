import { expect, test } from "bun:test";
import fc from "fast-check";
import { matchConfig, readConfig } from "./config.ts";

test("registries.toml is read; mirrors keep their order", () => {
  const text = `
    [registry."a:5000"]
    insecure = "http"
    [registry."docker.io"]
    location = "hub.example/cache"
    [[registry."docker.io".mirror]]
    location = "b.example:5000/hub"
    pull-from-mirror = "digest-only"
    pull-through = true
    connect-timeout = 2.5
    [[registry."docker.io".mirror]]
    location = "a.example"
    cert = "/c"
    key = "/k"`;
  expect(readConfig(text, "f")).toEqual(
    new Map([
      ["a:5000", { insecure: "http" as const }],
      [
        "docker.io",
        {
          location: "hub.example/cache",
          mirror: [
            {
              location: "b.example:5000/hub",
              "pull-from-mirror": "digest-only" as const,
              "pull-through": true,
              "connect-timeout": 2.5,
            },
            { location: "a.example", cert: "/c", key: "/k" },
          ],
        },
      ],
    ]),
  );
});

test.each([
  ["other = 1", '"other" is not known'],
  ['[registry."a"]\nblokced = true', 'registry."a".blokced is not known; there are location, insecure'],
  ['[registry."a"]\nca = 1', 'registry."a".ca must be an absolute path'],
  ['[registry."a"]\ncert = "/c"', '"cert" and "key" need each other'],
  ['[registry."a"]\ninsecure = "either"\nca = "/c"', '"ca" is of no use'],
  ['[registry."https://a"]', "must be named as images are"],
  ['[registry."a"]\nlocation = "https://a"', "location must be a host name"],
  ['[registry."a"]\nmirror = ["b"]', "mirror must be tables"],
  ['[[registry."a".mirror]]\ninsecure = "http"', 'registry."a".mirror[0] has no location'],
  [
    '[[registry."a".mirror]]\nlocation = "b"\n[[registry."a".mirror]]\nlocation = "c"\nblocked = true',
    "mirror[1].blocked is not",
  ],
  ['[[registry."a".mirror]]\nlocation = "b"\npull-from-mirror = "never"', '"all" or "digest-only" or "tag-only"'],
  ['[registry."a"]\n\nca = \n[registry."b"]\n', "/etc/f: line 3: Missing value"],
  ['[registry."a"]\nca = "/x"\nca = "/y"\nblocked = true\n', "/etc/f: line 3: Cannot redefine"],
  ['[registry."a"]\r\nca = "/x" "/y"\r\nblocked = true', "/etc/f: line 2: "],
  ["[registry", "/etc/f: line 1: "],
])("wrong: %j", (text, words) => {
  expect(() => readConfig(text, "/etc/f")).toThrow(words);
  expect(() => readConfig(text, "/etc/f")).toThrow(expect.objectContaining({ code: "registry_config_invalid" }));
});

test("the name that stands for the most of an image's counts", () => {
  const names = [
    "example.com",
    "example.com/team",
    "example.com/team/app",
    "*.example.com",
    "*.eu.example.com",
    "*.example.com/x",
  ];
  const tables = readConfig(names.map((name) => `[registry."${name}"]`).join("\n"), "f");
  const of = (domain: string, path: string) => {
    const match = matchConfig(tables, domain, path);
    return match && [match.name, match.rest];
  };
  expect(of("example.com", "other/app")).toEqual(["example.com", "other/app"]);
  expect(of("example.com", "team/other")).toEqual(["example.com/team", "other"]);
  expect(of("example.com", "teams/other")).toEqual(["example.com", "teams/other"]);
  expect(of("example.com", "team/app")).toEqual(["example.com/team/app", ""]);
  expect(of("example.com", "team/app/x")).toEqual(["example.com/team/app", "x"]);
  expect(of("a.example.com", "y")).toEqual(["*.example.com", "y"]);
  expect(of("a.example.com", "x/y")).toEqual(["*.example.com/x", "y"]);
  expect(of("b.eu.example.com", "y")).toEqual(["*.eu.example.com", "y"]);
  expect(of("badexample.com", "y")).toBeNull();
  expect(of("example.com:5000", "y")).toBeNull();
});

test("any text is a configuration or an error that says where", () => {
  const word = fc.constantFrom(
    'registry."a"',
    "mirror",
    "[",
    "]",
    "[[",
    "]]",
    "=",
    '"/x"',
    "\n",
    "ca",
    "true",
    "{",
    "}",
    ".",
    "'",
    '"',
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(word).map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(text, (given) => {
      try {
        readConfig(given, "f");
      } catch (error) {
        expect(error).toMatchObject({ code: "registry_config_invalid" });
        expect((error as Error).message).toMatch(/^f: (line \d+: .|"|registry)/);
      }
    }),
  );
});
