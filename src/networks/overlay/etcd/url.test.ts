import { expect, test } from "bun:test";
import fc from "fast-check";
import { Cluster } from "./cluster.ts";
import { EtcdError } from "./errors.ts";
import { parseEtcdUrl } from "./url.ts";

const message = (text: string): string => {
  try {
    parseEtcdUrl(text);
  } catch (error) {
    if (error instanceof EtcdError && error.code === "etcd_url_invalid") return error.message;
    throw error;
  }
  return "";
};

test("all of it", () => {
  expect(parseEtcdUrl("etcd://us%40er:p%3Aw:d@h1:2379,10.0.0.2,[fd00::1]:4000,[::1]/a/b.c/")).toEqual({
    endpoints: ["http://h1:2379", "http://10.0.0.2:2379", "http://[fd00::1]:4000", "http://[::1]:2379"],
    user: "us@er",
    password: "p:w:d",
    prefix: "/a/b.c",
  });
});

test("what is left out", () => {
  expect(parseEtcdUrl("etcd://h")).toEqual({ endpoints: ["http://h:2379"], prefix: "/onggi/v1" });
  expect(parseEtcdUrl("etcds://h/")).toEqual({ endpoints: ["https://h:2379"], prefix: "/onggi/v1" });
  expect(parseEtcdUrl("etcd://user@h")).toEqual({ endpoints: ["http://h:2379"], user: "user", prefix: "/onggi/v1" });
  expect(parseEtcdUrl("etcd://user:@h")).toMatchObject({ user: "user", password: "" });
});

test("certificates mean TLS", () => {
  expect(parseEtcdUrl("etcd://h", { ca: "PEM" }).endpoints).toEqual(["https://h:2379"]);
  expect(parseEtcdUrl("etcd://h", { cert: "PEM" }).endpoints).toEqual(["https://h:2379"]);
  expect(parseEtcdUrl("etcd://h", {}).endpoints).toEqual(["http://h:2379"]);
});

test.each([
  ["", "begins with neither etcd:// nor etcds://"],
  ["http://h", "begins with neither"],
  ["etcd:h", "begins with neither"],
  ["etcd://", "a host is missing"],
  ["etcd:///prefix", "a host is missing"],
  ["etcd://a,,b", "a host is missing"],
  ["etcd://a,", "a host is missing"],
  ["etcd://user:secret@", "a host is missing"],
  ["etcd://:secret@h", "the user's name is empty"],
  ["etcd://u:%zz@h", "percent-encoded"],
  ["etcd://h:0", '"0" is no port'],
  ["etcd://h:65536", '"65536" is no port'],
  ["etcd://h:", '"" is no port'],
  ["etcd://h:a", '"a" is no port'],
  ["etcd://fd00::1", "write IPv6 addresses as [fd00::1]:2379"],
  ["etcd://[fd00::1", "write IPv6 addresses as"],
  ["etcd://[10.0.0.1]", '"10.0.0.1" is no IPv6 address'],
  ["etcd://[x]:1", '"x" is no IPv6 address'],
  ["etcd://a b", '"a b" is no host name'],
  ["etcd://h?x=1", '"h?x=1" is no host name'],
  ["etcd://h//a", "is no prefix"],
  ["etcd://h/a?b", "is no prefix"],
  ["etcd://h/a b", "is no prefix"],
])("%s", (text, why) => {
  expect(message(text)).toContain(why);
  expect(message(text)).not.toContain("secret");
});

test("what is written is read", () => {
  const name = fc.stringMatching(/^[a-z0-9]([a-z0-9.-]{0,8}[a-z0-9])?$/);
  const host = fc.oneof(
    name,
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
  );
  const url = fc.record({
    hosts: fc.array(fc.tuple(host, fc.option(fc.integer({ min: 1, max: 65535 }))), { minLength: 1, maxLength: 4 }),
    user: fc.option(fc.string({ minLength: 1, unit: "grapheme" })),
    password: fc.option(fc.string({ unit: "grapheme" })),
    words: fc.array(fc.stringMatching(/^[A-Za-z0-9._~:-]{1,8}$/), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(url, ({ hosts, user, password, words }) => {
      const login =
        user === null ? "" : `${encodeURIComponent(user)}${password === null ? "" : `:${encodeURIComponent(password)}`}@`;
      const places = hosts.map(([at, port]) => (port === null ? at : `${at}:${port}`)).join(",");
      const parsed = parseEtcdUrl(`etcd://${login}${places}${words.map((word) => `/${word}`).join("")}`);
      expect(parsed).toEqual({
        endpoints: hosts.map(([at, port]) => `http://${at}:${port ?? 2379}`),
        ...(user === null ? {} : { user }),
        ...(user === null || password === null ? {} : { password }),
        prefix: words.length > 0 ? `/${words.join("/")}` : "/onggi/v1",
      });
    }),
  );
});

test("anything is read or refused", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.stringMatching(/^[a-z@:[\],/%.0-9]*$/)), (text) => {
      message(`etcd://${text}`);
      message(text);
    }),
    { numRuns: 1000 },
  );
});

test("endpoints are origins", () => {
  for (const endpoint of ["10.0.0.1:2379", "ftp://h", "http://u:p@h", "http://h/x", "http://h?x", ""])
    expect(() => new Cluster({ endpoints: [endpoint] })).toThrow("this is no endpoint of etcd");
  expect(() => new Cluster({ endpoints: [] })).toThrow("etcd has no endpoint");
  new Cluster({ endpoints: ["http://h", "https://[fd00::1]:2379/"] });
});
