import { expect, test } from "bun:test";
import { gateOf, roleOf } from "./rights.ts";
import type { ClientRule, Peer } from "./types.ts";

const process = (uid: number, ...gids: number[]): Peer => ({ kind: "process", uid, gids });
const ann: Peer = { kind: "certificate", commonName: "ann", names: ["ann.example", "10.0.0.1"], fingerprint: "ab12" };

const rules: ClientRule[] = [
  { role: "read", gid: 50 },
  { role: "operate", uid: 1000 },
  { role: "read", uid: 1000 },
  { role: "admin", certificate: "ann.example" },
];

test("the highest role that a rule gives; root may do anything", () => {
  expect(roleOf(rules, process(1000, 50))).toBe("operate");
  expect(roleOf(rules, process(1001, 7, 50))).toBe("read");
  expect(roleOf(rules, process(1001, 7))).toBeNull();
  expect(roleOf(rules, process(0))).toBe("admin");
});

test("a certificate is known by its common name, another name or its fingerprint, and by nothing else", () => {
  for (const certificate of ["ann", "ann.example", "10.0.0.1", "sha256:AB:12", "sha256:ab12"])
    expect(roleOf([{ role: "read", certificate }], ann)).toBe("read");
  for (const certificate of ["", "Ann", "ab12", "sha256:", "example"])
    expect(roleOf([{ role: "read", certificate }], ann)).toBeNull();
  expect(roleOf([{ role: "read", uid: 0 }], ann)).toBeNull();
  expect(roleOf([{ role: "read", certificate: "" }], { ...ann, commonName: "" })).toBeNull();
  expect(roleOf([{ role: "read", certificate: "ann" }], process(1))).toBeNull();
});

test("without rules whoever comes in may do anything", () => {
  expect(roleOf([], process(1001))).toBe("admin");
  expect(roleOf([], ann)).toBe("admin");
});

test("what is denied is said to the client, and to the log once a second", () => {
  const told: string[] = [];
  const gate = gateOf(
    () => rules,
    (message) => told.push(message),
  );
  gate.check(() => process(1000), "operate", "ContainerStop");
  expect(() => gate.check(() => process(1000), "admin", "ContainerCreate")).toThrow(
    'authorization denied: ContainerCreate needs the role "admin"; uid 1000 has "operate"',
  );
  expect(() => gate.check(() => process(9), "read", "ContainerList")).toThrow("uid 9 has none");
  expect(told).toEqual(['uid 1000: authorization denied: ContainerCreate needs the role "admin"; uid 1000 has "operate"']);
});

test("a socket's bound holds for everybody, and frees from the rules below it", () => {
  const gate = gateOf(
    () => rules,
    () => {},
    "read",
  );
  gate.check(() => process(9), "read", "ContainerList");
  expect(() => gate.check(() => process(0), "operate", "ContainerStop")).toThrow("this socket is for read only");
});

test("rules that change hold from then on", () => {
  let now: ClientRule[] = [];
  const gate = gateOf(
    () => now,
    () => {},
  );
  gate.check(() => process(9), "admin", "x");
  now = [{ role: "read", uid: 9 }];
  expect(() => gate.check(() => process(9), "admin", "x")).toThrow("authorization denied");
});
