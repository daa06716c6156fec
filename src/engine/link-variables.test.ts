import { expect, test } from "bun:test";
import { type Linked, linkVariables } from "./link-variables.ts";

const db: Linked = { alias: "db", name: "/web/db", address: "172.17.0.2", ports: [], env: [] };

test("one port", () => {
  expect(linkVariables({ ...db, alias: "my-db", ports: ["5432/tcp"], env: ["PATH=/bin", "HOME=/", "MODE=a=b", "BARE"] })).toEqual(
    [
      "MY_DB_PORT=tcp://172.17.0.2:5432",
      "MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432",
      "MY_DB_PORT_5432_TCP_ADDR=172.17.0.2",
      "MY_DB_PORT_5432_TCP_PORT=5432",
      "MY_DB_PORT_5432_TCP_PROTO=tcp",
      "MY_DB_NAME=/web/db",
      "MY_DB_ENV_MODE=a=b",
    ],
  );
});

test("no port: the name", () => {
  expect(linkVariables(db)).toEqual(["DB_NAME=/web/db"]);
});

test("TCP comes first, runs are told, twice is once", () => {
  const lines = linkVariables({ ...db, ports: ["53/udp", "82/tcp", "80/tcp", "81/tcp", "80/tcp", "90/tcp", "54/udp"] });
  expect(lines[0]).toBe("DB_PORT=tcp://172.17.0.2:80");
  expect(lines.filter((line) => line.includes("_ADDR="))).toEqual(
    ["80_TCP", "81_TCP", "82_TCP", "90_TCP", "53_UDP", "54_UDP"].map((port) => `DB_PORT_${port}_ADDR=172.17.0.2`),
  );
  expect(lines.filter((line) => /START|END/.test(line))).toEqual([
    "DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
    "DB_PORT_80_TCP_PORT_START=80",
    "DB_PORT_80_TCP_END=tcp://172.17.0.2:82",
    "DB_PORT_80_TCP_PORT_END=82",
    "DB_PORT_53_UDP_START=udp://172.17.0.2:53",
    "DB_PORT_53_UDP_PORT_START=53",
    "DB_PORT_53_UDP_END=udp://172.17.0.2:54",
    "DB_PORT_53_UDP_PORT_END=54",
  ]);
});
