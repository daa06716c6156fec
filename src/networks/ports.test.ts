import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseSocketTable } from "./port-holder.ts";
import { checkPublication, groupPublications } from "./ports.ts";
import type { Publication } from "./types.ts";

const publication = (changes: Partial<Publication> = {}): Publication => ({
  protocol: "tcp",
  containerPort: 80,
  hostIp: "0.0.0.0",
  hostPort: 8080,
  hostPortEnd: 8080,
  ...changes,
});

test("a publication's address becomes its canonical text", () => {
  expect(checkPublication(publication({ hostIp: "FD00:0::1" })).hostIp).toBe("fd00::1");
  expect(checkPublication(publication({ hostPort: 0, hostPortEnd: 0 }))).toEqual(publication({ hostPort: 0, hostPortEnd: 0 }));
});

test.each([
  [{ containerPort: 0 }, "a container's port is 1 to 65535"],
  [{ containerPort: 65_536 }, "a container's port is 1 to 65535"],
  [{ containerPort: 1.5 }, "a container's port is 1 to 65535"],
  [{ hostPort: 9, hostPortEnd: 8 }, "ports 9-8 of the host are no range"],
  [{ hostPort: 0, hostPortEnd: 8 }, "no range"],
  [{ hostPortEnd: 70_000 }, "no range"],
  [{ hostIp: "localhost" }, 'host address "localhost" is no IP address'],
  [{ protocol: "icmp" as "tcp" }, "the protocol is tcp, udp or sctp"],
])("%p is refused", (changes, why) => {
  expect(() => checkPublication(publication(changes))).toThrow(why);
});

test("requests that differ in the host's address alone go together, and none twice", () => {
  const requests = [
    publication({ hostIp: "0.0.0.0", hostPort: 0, hostPortEnd: 0 }),
    publication({ containerPort: 81 }),
    publication({ hostIp: "::", hostPort: 0, hostPortEnd: 0 }),
    publication({ hostIp: "0.0.0.0", hostPort: 0, hostPortEnd: 0 }),
  ];
  const [one, other, both, again] = requests as [Publication, Publication, Publication, Publication];
  expect(groupPublications(requests)).toEqual([[one, both], [again], [other]]);
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          protocol: fc.constantFrom("tcp", "udp"),
          containerPort: fc.integer({ min: 1, max: 3 }),
          hostIp: fc.constantFrom("0.0.0.0", "::", "127.0.0.1"),
          hostPort: fc.constant(0),
          hostPortEnd: fc.constant(0),
        }) as fc.Arbitrary<Publication>,
      ),
      (all) => {
        const groups = groupPublications(all);
        expect(groups.flat()).toHaveLength(all.length);
        for (const group of groups) expect(new Set(group.map(({ hostIp }) => hostIp)).size).toBe(group.length);
      },
    ),
  );
});

test("lines of /proc/net/tcp and udp6", () => {
  const text = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0
   1: 00000000000000000000000000000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 77 2 0 0
   2: broken`;
  expect(parseSocketTable(text)).toEqual([
    { port: 8080, any: false, state: 10, inode: "4242" },
    { port: 53, any: true, state: 7, inode: "77" },
  ]);
});

test("what is no such table has no lines", () => {
  fc.assert(fc.property(fc.string(), (text) => expect(parseSocketTable(text).length).toBeGreaterThanOrEqual(0)));
});
