import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  AddressAllocator,
  checkPool,
  chooseSubnet,
  completePool,
  defaultSubnets,
  poolUsage,
  usableAddresses,
} from "./addresses.ts";
import {
  type AddressRange,
  addressNumber,
  addressText,
  contains,
  type Family,
  overlaps,
  parseSubnet,
  subnetAround,
  subnetText,
} from "./prefixes.ts";

const families = fc.constantFrom<Family>(4, 6);
const address = (family: Family) => fc.bigInt({ min: 0n, max: (1n << (family === 4 ? 32n : 128n)) - 1n });
const subnets = families.chain((family) =>
  fc
    .tuple(address(family), fc.integer({ min: 0, max: family === 4 ? 32 : 128 }))
    .map(([number, length]) => subnetAround(family, number, length)),
);

test("addresses and subnets are the same as text and as numbers", () => {
  fc.assert(
    fc.property(
      families.chain((family) => fc.tuple(fc.constant(family), address(family))),
      ([family, number]) => addressNumber(addressText(family, number)) === number,
    ),
  );
  fc.assert(fc.property(subnets, (subnet) => expect(parseSubnet(subnetText(subnet))).toEqual(subnet)));
});

test("two subnets overlap if and only if one contains the other", () => {
  const near = subnets.chain((one) =>
    fc.tuple(
      fc.constant(one),
      fc.oneof(
        subnets,
        fc.integer({ min: 0, max: one.family === 4 ? 32 : 128 }).map((length) => subnetAround(one.family, one.last, length)),
      ),
    ),
  );
  fc.assert(
    fc.property(near, ([one, other]) => {
      expect(overlaps(one, other)).toBe(contains(one, other) || contains(other, one));
      expect(overlaps(one, other)).toBe(overlaps(other, one));
    }),
  );
});

test.each([
  ["10.0.0.1/24", "it should be 10.0.0.0/24"],
  ["10.0.0.0", "give one as 10.0.0.0/24"],
  ["10.0.0.0/33", "is no subnet"],
  ["fd00::1/64", "it should be fd00::/64"],
  ["10.0.0/24", "is no subnet"],
  ["", "is no subnet"],
])("subnet %p is refused", (text, why) => {
  expect(() => parseSubnet(text)).toThrow(why);
});

test("default subnets are Docker's, and of IPv6 those of one site per tag", () => {
  const four = [...defaultSubnets(4, "00000000")].map(subnetText);
  expect(four.slice(0, 2)).toEqual(["172.17.0.0/16", "172.18.0.0/16"]);
  expect(four.slice(15, 17)).toEqual(["192.168.0.0/20", "192.168.16.0/20"]);
  expect(four).toHaveLength(31);
  const first = (tag: string): string => subnetText(defaultSubnets(6, tag).next().value!);
  expect(first("00000001")).toMatch(/^fd[0-9a-f]{2}:[0-9a-f:]+::\/64$/);
  expect(first("00000001")).toBe(first("00000001"));
  expect(first("00000001")).not.toBe(first("00000002"));
});

test("the subnet that is chosen overlaps nothing, and there is one as long as a default one is free", () => {
  const all = [...defaultSubnets(4, "0")];
  const random = fc.tuple(address(4), fc.integer({ min: 6, max: 30 })).map(([number, length]) => subnetAround(4, number, length));
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constantFrom(...all), random), { maxLength: 40 }), (occupied: AddressRange[]) => {
      const free = all.filter((subnet) => !occupied.some((range) => overlaps(range, subnet)));
      if (free.length === 0) expect(() => chooseSubnet(4, "0", occupied)).toThrow("give one by --subnet");
      else expect(chooseSubnet(4, "0", occupied)).toEqual(free[0]!);
    }),
  );
});

test("pools that are given come first, and alone for their family", () => {
  const pools = [
    { base: "10.200.0.0/23", size: 24 },
    { base: "10.210.0.0/24", size: 25 },
  ];
  const taken: AddressRange[] = [];
  for (const wanted of ["10.200.0.0/24", "10.200.1.0/24", "10.210.0.0/25", "10.210.0.128/25"]) {
    const subnet = chooseSubnet(4, "0", taken, pools);
    expect(subnetText(subnet)).toBe(wanted);
    taken.push(subnet);
  }
  expect(() => chooseSubnet(4, "0", taken, pools)).toThrow("give one by --subnet");
  expect(subnetText(chooseSubnet(6, "0", taken, pools))).toStartWith("fd");
  expect(() => checkPool({ base: "10.0.0.0/16", size: 8 })).toThrow("cannot be cut into subnets of 8 bits: give 16 to 30");
});

test("a pool is completed", () => {
  expect(completePool({ subnet: "10.1.0.0/24" })).toEqual({ subnet: "10.1.0.0/24", gateway: "10.1.0.1" });
  expect(completePool({ subnet: "FD00:0::/64" })).toEqual({ subnet: "fd00::/64", gateway: "fd00::1" });
  expect(completePool({ subnet: "10.1.0.0/24", reserved: { router: "10.1.0.1" } }).gateway).toBe("10.1.0.2");
  expect(completePool({ subnet: "10.1.0.0/31" })).toEqual({ subnet: "10.1.0.0/31", gateway: "10.1.0.0" });
});

test.each([
  [{ subnet: "10.1.0.0/24", gateway: "10.2.0.1" }, "gateway 10.2.0.1 is not one of 10.1.0.0/24: it has 10.1.0.1 to 10.1.0.254"],
  [{ subnet: "10.1.0.0/24", gateway: "10.1.0.255" }, "is not one of"],
  [{ subnet: "10.1.0.0/24", gateway: "fd00::1" }, "is not one of"],
  [{ subnet: "10.1.0.0/24", range: "10.1.1.0/25" }, "is not part of subnet"],
  [{ subnet: "10.1.0.0/32" }, "no address for a container"],
  [{ subnet: "127.0.0.0/24" }, "subnet 127.0.0.0/24 has addresses of 127.0.0.0/8, which are this host's own"],
  [{ subnet: "0.0.0.0/0" }, "which are this host's own"],
  [{ subnet: "239.1.0.0/16" }, "which are for groups of hosts"],
  [{ subnet: "fe80::/64" }, "which are of each link by itself"],
  [{ subnet: "10.1.0.0/24", gateway: "10.1.0.9", reserved: { nas: "10.1.0.9" } }, "also a reserved address"],
])("pool %p is refused", (pool, why) => {
  expect(() => completePool(pool)).toThrow(why);
});

/** What an allocator is asked for, beside what a plain set says. */
const pools = fc
  .tuple(fc.constantFrom<Family>(4, 6), fc.integer({ min: 0, max: 5 }), fc.option(fc.integer({ min: 1, max: 3 })))
  .map(([family, host, half]) => {
    const [base, bits] = family === 4 ? ["10.7.0.64", 29 - host] : ["fd00:7::40", 125 - host];
    const subnet = subnetAround(family, addressNumber(base), bits);
    const range = half === null ? undefined : subnetText(subnetAround(family, subnet.last, bits + Math.min(half, 2)));
    return completePool({ subnet: subnetText(subnet), ...(range === undefined ? {} : { range }) });
  });

test("nobody gets an address twice, and the last free one is found", () => {
  fc.assert(
    fc.property(pools, fc.array(fc.nat({ max: 99 }), { maxLength: 200 }), (pool, steps) => {
      const allocator = new AddressAllocator(pool);
      const subnet = parseSubnet(pool.subnet);
      const usable = usableAddresses(subnet);
      const range = pool.range === undefined ? usable : parseSubnet(pool.range);
      const inside = (number: bigint): boolean =>
        [usable, range].every(({ first, last }) => first <= number && number <= last) && number !== addressNumber(pool.gateway);
      const size = Number(subnet.last - subnet.first) + 1;
      const room = Array.from({ length: size }, (_, index) => subnet.first + BigInt(index)).filter(inside).length;
      const taken: string[] = [];
      for (const step of steps) {
        if (step < 60) {
          if (taken.length === room) {
            expect(() => allocator.take()).toThrow("no address of");
            continue;
          }
          const text = allocator.take();
          expect(taken).not.toContain(text);
          expect(inside(addressNumber(text))).toBe(true);
          taken.push(text);
        } else if (taken.length > 0) {
          const [text] = taken.splice(step % taken.length, 1);
          allocator.release(text!);
        }
      }
    }),
  );
});

test("an address that was given back is the last to be given again", () => {
  const allocator = new AddressAllocator(completePool({ subnet: "10.7.0.0/29" }));
  expect([allocator.take(), allocator.take()]).toEqual(["10.7.0.2", "10.7.0.3"]);
  allocator.release("10.7.0.2");
  expect([allocator.take(), allocator.take(), allocator.take()]).toEqual(["10.7.0.4", "10.7.0.5", "10.7.0.6"]);
  expect(allocator.take()).toBe("10.7.0.2");
  expect(() => allocator.take()).toThrow("no address of 10.7.0.0/29 is free: 5 are in use");
});

test("addresses that others are fixed to are left to them", () => {
  const allocator = new AddressAllocator(completePool({ subnet: "10.7.0.0/29" }));
  expect(allocator.take(new Set(["10.7.0.2", "10.7.0.3"]))).toBe("10.7.0.4");
  expect(allocator.takeFixed("10.7.0.2")).toBe(true);
  expect(allocator.takeFixed("10.7.0.2")).toBe(false);
  expect(() => allocator.takeFixed("10.7.0.1")).toThrow("is the gateway's");
  expect(() => allocator.takeFixed("10.7.0.7")).toThrow("is not one of subnet");
  expect(() => allocator.takeFixed("10.8.0.2")).toThrow("is not one of subnet");
});

test("a large range is taken from without looking at all of it", () => {
  const allocator = new AddressAllocator(completePool({ subnet: "fd00::/64", reserved: { router: "fd00::2" } }));
  const taken = new Set(Array.from({ length: 5000 }, () => allocator.take()));
  expect(taken.size).toBe(5000);
  expect(taken.has("fd00::2")).toBe(false);
  expect(allocator.take()).toBe("fd00::138b");
});

test("what is counted as free is what can be taken", () => {
  const small = families.chain((family) =>
    fc
      .tuple(address(family), fc.integer({ min: family === 4 ? 26 : 122, max: family === 4 ? 30 : 126 }))
      .map(([number, length]) => subnetAround(family, number, length)),
  );
  fc.assert(
    fc.property(small, fc.nat(20), fc.boolean(), (subnet, first, halved) => {
      const text = subnetText(subnet);
      const range = subnetText(subnetAround(subnet.family, subnet.last, subnet.length + 1));
      let pool: ReturnType<typeof completePool>;
      try {
        pool = completePool({ subnet: text, ...(halved ? { range } : {}) });
      } catch {
        return; // of those that no container may be in
      }
      const allocator = new AddressAllocator(pool);
      const taken: string[] = [];
      const { free, inUse } = poolUsage(pool, []);
      for (let left = free; left > 0; left--) taken.push(allocator.take());
      expect(() => allocator.take()).toThrow("no address of");
      expect(poolUsage(pool, taken)).toEqual({ free: 0, inUse: inUse + taken.length });
      const some = taken.slice(0, first);
      expect(poolUsage(pool, some)).toEqual({ free: free - some.length, inUse: inUse + some.length });
    }),
  );
  // the network's own, the gateway's and the broadcast address; a v6 subnet has more than a number can say
  expect(poolUsage(completePool({ subnet: "172.17.0.0/16" }), [])).toEqual({ inUse: 3, free: 65_533 });
  expect(poolUsage(completePool({ subnet: "fd00::/64" }), ["fd00::5"])).toEqual({ inUse: 3, free: Number.MAX_SAFE_INTEGER });
});
