import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HostUpstreams, nameserversIn, upstreamList } from "./upstreams.ts";

const directory = mkdtempSync(join(tmpdir(), "onggi-upstreams-"));
afterAll(() => rmSync(directory, { recursive: true }));

test("name servers of a resolv.conf", () => {
  const text =
    "# nameserver 9.9.9.9\nnameserver 192.0.2.1\n  nameserver\tfe80::1%eth0 \nnameserver x\nnameserver 192.0.2.1\nsearch a\n";
  expect(nameserversIn(text)).toEqual(["192.0.2.1", "fe80::1%eth0"]);
});

test("a scope is an interface", () => {
  const { key, servers } = upstreamList(["192.0.2.1", "fe80:0::1%eth0"], () => 7);
  expect(key).toBe("192.0.2.1 fe80:0::1%eth0");
  expect(servers.map(({ ip }) => ip)).toEqual(["192.0.2.1", "fe80::1"]);
  expect([...servers[0]!.address.subarray(0, 8)]).toEqual([2, 0, 0, 53, 192, 0, 2, 1]);
  expect([...servers[1]!.address.subarray(24)]).toEqual([7, 0, 0, 0]);
});

test("the host's are read again when they change, at most once a second", () => {
  const path = join(directory, "resolv.conf");
  const host = new HostUpstreams(path);
  expect(host.current(0).servers).toEqual([]);
  writeFileSync(path, "nameserver 192.0.2.1\n");
  expect(host.current(500).servers).toEqual([]);
  const list = host.current(1000);
  expect(list.key).toBe("192.0.2.1");
  expect(host.current(5000)).toBe(list);
  writeFileSync(path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n");
  expect(host.current(6000).key).toBe("192.0.2.1 192.0.2.2");
  rmSync(path);
  expect(host.current(7000).servers).toEqual([]);
});
