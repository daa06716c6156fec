import { expect, test } from "bun:test";
import fc from "fast-check";
import { hostDirectories, readHostsFile } from "./hosts-toml.ts";

const nothing = { capabilities: null, ca: [], client: null, skipVerify: false, headers: {}, dialTimeout: null };

test("containerd's hosts.toml is read; hosts keep their order", () => {
  const text = `
    server = "https://registry-1.docker.io"
    [host."https://public-mirror.example.com"]
      capabilities = ["pull"]
      dial_timeout = "1s500ms"
    [host."http://10.0.0.7:5000/proxy/"]
      capabilities = ["pull", "resolve", "push"]
      ca = ["mirror.crt", "/abs.crt"]
      client = [["a.cert", "/a.key"], ["b.pem", ""]]
      skip_verify = true
      [host."http://10.0.0.7:5000/proxy/".header]
        x-custom = ["a", "b"]
        authorization = "Basic eDp5"
    [host."odd.example/api"]
      override_path = true
      client = "both.pem"`;
  const { hosts, server } = readHostsFile(text, "/d");
  expect(server).toEqual({ ...nothing, place: { scheme: "https", host: "registry-1.docker.io", root: "/v2" } });
  expect(hosts).toEqual([
    {
      ...nothing,
      place: { scheme: "https", host: "public-mirror.example.com", root: "/v2" },
      capabilities: new Set(["pull"] as const),
      dialTimeout: 1500,
    },
    {
      place: { scheme: "http", host: "10.0.0.7:5000", root: "/proxy/v2" },
      capabilities: new Set(["pull", "resolve", "push"] as const),
      ca: ["/d/mirror.crt", "/abs.crt"],
      client: { cert: "/d/a.cert", key: "/a.key" },
      skipVerify: true,
      headers: { "x-custom": "a, b", authorization: "Basic eDp5" },
      dialTimeout: null,
    },
    {
      ...nothing,
      place: { scheme: "https", host: "odd.example", root: "/api" },
      client: { cert: "/d/both.pem", key: "/d/both.pem" },
    },
  ]);
  expect(readHostsFile("", "/d")).toEqual({ hosts: [], server: { ...nothing, place: null } });
});

test("where a registry's file may lie", () => {
  expect(hostDirectories("a.example:5000")).toEqual(["a.example_5000_", "a.example:5000", "_default"]);
  expect(hostDirectories("docker.io")).toEqual(["docker.io", "_default"]);
});

test.each([
  ["server = 1", "server must be a URL"],
  ['server = "https://a@b"', "server must be a URL"],
  ['[host."a"]\ncapabilities = ["fly"]', 'host."a".capabilities must be of pull, resolve, push'],
  ['[host."a"]\nskip_verify = "yes"', "skip_verify must be true or false"],
  ['[host."a"]\ndial_timeout = "soon"', "dial_timeout must be a time"],
  ['[host."a"]\nclient = [["x"]]', "client must be pairs"],
  ['[host."a"]\nca = 1', 'host."a".ca must name files'],
  ['[host."a".header]\nx = "a\\nb"', "must be a string or a list of strings that can be a header"],
  ["server =", "line 1: "],
])("wrong: %j", (text, words) => {
  expect(() => readHostsFile(text, "/d")).toThrow(words);
  expect(() => readHostsFile(text, "/d")).toThrow("/d/hosts.toml: ");
});

test("any text is a file or an error", () => {
  const word = fc.constantFrom("server", "host", '"a"', ".", "[", "]", "=", "\n", "header", "ca", "client", "true", "[[", '"1s"');
  const text = fc.oneof(
    fc.string(),
    fc.array(word).map((words) => words.join(" ")),
  );
  fc.assert(
    fc.property(text, (given) => {
      try {
        readHostsFile(given, "/d");
      } catch (error) {
        expect(error).toMatchObject({ code: "registry_config_invalid" });
      }
    }),
  );
});
