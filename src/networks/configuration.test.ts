import { expect, test } from "bun:test";
import { configurationOf, configured, refuseEndpoints, requireUnused } from "./configuration.ts";
import type { NetworkRecord } from "./database.ts";

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return `${(error as { code: string }).code}: ${(error as Error).message}`;
  }
  throw new Error("it was to fail, and did not");
};

const pool = { subnet: "10.1.0.0/24", range: "10.1.0.128/25", reserved: { printer: "10.1.0.9" } };
const record: NetworkRecord = {
  ...configurationOf({
    ...{ name: "plan", driver: "macvlan", configOnly: true, pools: [pool], ipv6: true },
    ...{ options: { parent: "eth0" }, labels: { tier: "lan" } },
  }),
  ...{ id: "a".repeat(64), created: "2026-01-01T00:00:00.000Z" },
};

test("a configuration keeps what was said, and makes nothing up", () => {
  expect(record).toEqual({
    ...{ id: "a".repeat(64), created: "2026-01-01T00:00:00.000Z", name: "plan", driver: "null", configOnly: true },
    ...{ ipv4: true, ipv6: true, internal: false, options: { parent: "eth0" }, labels: { tier: "lan" } },
    pools: [{ subnet: "10.1.0.0/24", range: "10.1.0.128/25", gateway: "", reserved: { printer: "10.1.0.9" } }],
    ...{ interface: "", mtu: 0, predefined: false, chosen: [] },
  });
  expect(configurationOf({ name: "plan", pools: [{ subnet: "10.1.0.0/24", gateway: "10.1.0.7" }] }).pools[0]?.gateway).toBe(
    "10.1.0.7",
  );
});

test("a network that is made after it has all of it, and its own driver and name", () => {
  expect(
    configured({ name: "lan", driver: "macvlan", configFrom: "plan", internal: true, labels: {}, pools: [] }, record),
  ).toEqual({
    ...{ name: "lan", driver: "macvlan", configFrom: "plan", internal: true, ipv4: true, ipv6: true },
    ...{ options: { parent: "eth0" }, labels: { tier: "lan" } },
    pools: [{ subnet: "10.1.0.0/24", range: "10.1.0.128/25", reserved: { printer: "10.1.0.9" } }],
  });
});

test("what is refused, in Docker's words", () => {
  const operator =
    "network_configuration_refused: configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported.";
  expect(codeOf(() => configurationOf({ name: "plan", internal: true }))).toBe(operator);
  expect(codeOf(() => configurationOf({ name: "plan", attachable: true }))).toBe(operator);
  expect(codeOf(() => configurationOf({ name: "plan", configFrom: "other" }))).toBe(
    "network_configuration_refused: a configuration network cannot depend on another configuration network",
  );
  expect(codeOf(() => configurationOf({ name: "-" }))).toStartWith("network_invalid: ");
  expect(codeOf(() => configurationOf({ name: "plan", pools: [{ subnet: "10.1.0.300/24" }] }))).toStartWith("address_invalid: ");
  for (const more of [{ pools: [{ subnet: "10.2.0.0/24" }] }, { labels: { a: "b" } }, { ipv6: true }, { ipv4: false }])
    expect(codeOf(() => configured({ name: "lan", configFrom: "plan", ...more }, record))).toBe(
      "network_configuration_refused: user-specified configurations are not supported if the network depends on a configuration network",
    );
  expect(codeOf(() => configured({ name: "lan", configFrom: "plan", options: { a: "b" } }, record))).toBe(
    "network_configuration_refused: network driver options are not supported if the network depends on a configuration network",
  );
  for (const from of [undefined, { ...record, configOnly: false }])
    expect(codeOf(() => configured({ name: "lan", configFrom: "plan" }, from))).toBe(
      'network_not_found: configuration network "plan" does not exist',
    );
  expect(codeOf(() => refuseEndpoints(record))).toBe(
    "network_configuration_refused: network plan: cannot create endpoint on configuration-only network",
  );
});

test("one that others are made after stays", () => {
  const users = Array.from({ length: 7 }, (_, index) => ({
    ...record,
    name: `n${index}`,
    configOnly: false,
    configFrom: "plan",
  }));
  requireUnused(record, [record, { ...record, name: "other", configFrom: "another" }]);
  expect(codeOf(() => requireUnused(record, [record, ...users]))).toBe(
    'network_in_use: configuration network "plan" is in use by n0, n1, n2, n3, n4 and 2 more: remove them first',
  );
});
