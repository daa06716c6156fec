import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DeviceRule } from "../../oci/spec.ts";
import { defaultDeviceRules } from "../resources.ts";
import { compileDeviceProgram, devicesV1, grantsEverything } from "./devices.ts";

const BITS = { m: 1, r: 2, w: 4 } as Record<string, number>;
interface Device {
  type: "b" | "c";
  major: number;
  minor: number;
}

/** Runs the instructions compileDeviceProgram uses, as the kernel's interpreter does. */
function interpret(program: Uint8Array, device: Device, access: number): number {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  const context = new DataView(new ArrayBuffer(12));
  context.setUint32(0, (access << 16) | (device.type === "b" ? 1 : 2), true);
  context.setUint32(4, device.major, true);
  context.setUint32(8, device.minor, true);
  const r = new Array<number>(11).fill(0);
  for (let pc = 0, steps = 0; steps < 100_000; pc++, steps++) {
    const code = view.getUint8(pc * 8);
    const dst = view.getUint8(pc * 8 + 1) & 15;
    const src = view.getUint8(pc * 8 + 1) >> 4;
    const offset = view.getInt16(pc * 8 + 2, true);
    const immediate = view.getUint32(pc * 8 + 4, true);
    const value = r[dst] as number;
    if (code === 0x61) r[dst] = context.getUint32(offset, true);
    else if (code === 0xb4) r[dst] = immediate;
    else if (code === 0xbc) r[dst] = r[src] as number;
    else if (code === 0x54) r[dst] = (value & immediate) >>> 0;
    else if (code === 0x74) r[dst] = value >>> immediate;
    else if (code === 0x05) pc += offset;
    else if (code === 0x56) pc += value !== immediate ? offset : 0;
    else if (code === 0x46) pc += (value & immediate) !== 0 ? offset : 0;
    else if (code === 0x95) return r[0] as number;
    else throw new Error(`unknown instruction 0x${code.toString(16)}`);
  }
  throw new Error("the program does not end");
}

/** The rule of the documentation: for each access the last rule that covers it. */
function allowed(rules: readonly DeviceRule[], device: Device, access: number): boolean {
  return [1, 2, 4].every((bit) => {
    if (!(access & bit)) return true;
    const last = rules.findLast(
      (rule) =>
        [undefined, "a", device.type].includes(rule.type) &&
        (rule.major === undefined || rule.major === device.major) &&
        (rule.minor === undefined || rule.minor === device.minor) &&
        [...(rule.access || "rwm")].some((letter) => BITS[letter] === bit),
    );
    return last?.allow ?? true;
  });
}

const number = fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined });
const ruleArbitrary = fc.record(
  {
    allow: fc.boolean(),
    type: fc.constantFrom("a", "b", "c"),
    major: number,
    minor: number,
    access: fc.constantFrom("r", "w", "m", "rw", "rm", "rwm", ""),
  },
  { requiredKeys: ["allow"] },
) as fc.Arbitrary<DeviceRule>;
const deviceArbitrary = fc.record({
  type: fc.constantFrom("b" as const, "c" as const),
  major: fc.integer({ min: 0, max: 3 }),
  minor: fc.integer({ min: 0, max: 3 }),
});

describe("the program", () => {
  test("decides as the rules say", () => {
    fc.assert(
      fc.property(
        fc.array(ruleArbitrary, { maxLength: 12 }),
        deviceArbitrary,
        fc.integer({ min: 1, max: 7 }),
        (rules, device, access) => {
          expect(interpret(compileDeviceProgram(rules), device, access)).toBe(allowed(rules, device, access) ? 1 : 0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("device numbers of 32 bits", () => {
    const program = compileDeviceProgram([{ allow: false }, { allow: true, type: "b", major: 0xffffffff, minor: 0x80000000 }]);
    expect(interpret(program, { type: "b", major: 0xffffffff, minor: 0x80000000 }, 7)).toBe(1);
    expect(interpret(program, { type: "b", major: 0xffffffff, minor: 0x80000001 }, 7)).toBe(0);
  });

  test("no rule allows everything in four instructions and the loads", () => {
    expect(compileDeviceProgram([]).length / 8).toBe(8);
  });

  test("the default list: a null that is open, a disk that is shut but may be made", () => {
    const program = compileDeviceProgram(defaultDeviceRules);
    expect(interpret(program, { type: "c", major: 1, minor: 3 }, 7)).toBe(1);
    expect(interpret(program, { type: "c", major: 136, minor: 42 }, 6)).toBe(1);
    expect(interpret(program, { type: "b", major: 8, minor: 0 }, 1)).toBe(1);
    expect(interpret(program, { type: "b", major: 8, minor: 0 }, 2)).toBe(0);
  });
});

test("rules that leave everything allowed", () => {
  const rules: DeviceRule[] = [{ allow: false }, { allow: true, type: "c", major: 1, minor: 3 }, { allow: true }];
  expect([grantsEverything(rules), grantsEverything(rules.slice(0, 2)), grantsEverything([])]).toEqual([true, false, true]);
  expect(devicesV1(rules)).toEqual([]);
  expect(devicesV1(rules, "c 1:3 rwm\n")).toMatchObject([{ file: "devices.allow", value: "a *:* rwm" }]);
});

describe("the list of v1", () => {
  const lines = (rules: DeviceRule[], current?: string): string[] =>
    devicesV1(rules, current).map((write) => `${write.file} ${write.value}`);

  test("what stands before a rule for everything is not written", () => {
    const before: DeviceRule = { allow: true, type: "c", major: 1, minor: 3, access: "rwm" };
    expect(lines([before, { allow: false, type: "a" }, before])).toEqual(["devices.deny a *:* rwm", "devices.allow c 1:3 rwm"]);
  });

  test("a rule for both types is two lines, because a line for both resets the list", () => {
    expect(lines([{ allow: false }, { allow: true, access: "m" }])).toEqual([
      "devices.deny a *:* rwm",
      "devices.allow b *:* m",
      "devices.allow c *:* m",
    ]);
  });

  test("a living group gets the differences only", () => {
    const current = "c 1:3 rwm\nc 1:5 r\nb *:* m\n";
    const rules: DeviceRule[] = [
      { allow: false },
      { allow: true, type: "c", major: 1, minor: 3, access: "rw" },
      { allow: true, type: "c", major: 1, minor: 5, access: "rw" },
    ];
    expect(lines(rules, current)).toEqual(["devices.allow c 1:5 w", "devices.deny c 1:3 m", "devices.deny b *:* m"]);
    expect(lines(rules, "a *:* rwm\n")).toEqual(["devices.deny a *:* rwm", "devices.allow c 1:3 rw", "devices.allow c 1:5 rw"]);
  });

  test("a part of a wider rule cannot be taken back", () => {
    const rules: DeviceRule[] = [
      { allow: false },
      { allow: true, type: "c", major: 1, access: "rwm" },
      { allow: false, type: "c", major: 1, minor: 3, access: "r" },
    ];
    expect(() => lines(rules)).toThrow(/cannot take a part out of "c 1:\*"/);
  });

  test("rules that v1 takes mean the same there", () => {
    fc.assert(
      fc.property(
        fc.array(ruleArbitrary, { maxLength: 8 }),
        deviceArbitrary,
        fc.integer({ min: 1, max: 7 }),
        (rules, device, access) => {
          const all = [{ allow: false }, ...rules];
          let writes: ReturnType<typeof devicesV1>;
          try {
            writes = devicesV1(all);
          } catch {
            return;
          }
          // Read the lines back as rules: the kernel takes the union of the exceptions.
          const back = writes.map(({ file, value }): DeviceRule => {
            const [, type, major, minor, letters] = /^(.) (\S+):(\S+) (\S+)$/.exec(value) as unknown as string[];
            const parse = (text?: string) => (text === "*" ? {} : Number(text));
            const numbers = {
              ...(major === "*" ? {} : { major: parse(major) as number }),
              ...(minor === "*" ? {} : { minor: parse(minor) as number }),
            };
            return { allow: file === "devices.allow", type: type as "a", access: letters as string, ...numbers };
          });
          expect(allowed(back, device, access)).toBe(allowed(all, device, access));
        },
      ),
      { numRuns: 2000 },
    );
  });
});
