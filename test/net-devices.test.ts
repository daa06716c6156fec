/** Devices between network namespaces, by the kernel. Needs root. */
import { expect, test } from "bun:test";

test.skipIf(process.geteuid?.() !== 0)("network devices move with what they have", () => {
  const child = Bun.spawnSync([process.execPath, `${import.meta.dir}/net-devices-child.ts`]);
  expect(child.stderr.toString()).toBe("");
  const found = JSON.parse(child.stdout.toString());
  expect(found.refusals).toEqual({
    missing: 'linux.netDevices["nothing"]: this host has no such network device',
    loopback: 'linux.netDevices["lo"]: the loopback device belongs to its namespace',
    collision: 'linux.netDevices["eth1"]: the container\'s network namespace has a device "lo" already',
    twice: 'linux.netDevices["eth2"]: the container\'s network namespace has a device "x" already',
    own: "linux.netDevices[\"eth1\"]: the container's network namespace is the runtime's own: there is nothing to move",
  });
  expect(found.untouched).toEqual(["eth1", "eth2", "lo", "other1", "other2"]);
  expect(found.failed).toContain('linux.netDevices["bridge0"]: ');
  expect(found.restored).toEqual({ up: true, addresses: 3, inside: 1 });
  expect(found.moved).toBe("moved");
  expect(found.left).toEqual(["bridge0", "lo", "other1", "other2"]);
  expect(found.link).toEqual({ up: true, mtu: 1400, address: "02:00:00:00:00:01", alias: "uplink" });
  expect(found.template).toBe(true);
  expect(found.addresses).toEqual([
    { ip: "10.7.0.2", prefixLength: 24, broadcast: "10.7.0.255" },
    { ip: "10.8.0.1", prefixLength: 32, peer: "10.8.0.2" },
    { ip: "fd00:7::2", prefixLength: 64 },
  ]);
  expect(found.linkLocal).toBe(false);
});
