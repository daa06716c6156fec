import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { UsageError } from "./errors.ts";
import { parseExpose, parsePublish, portsColumn } from "./ports.ts";

const one = (over: object) => ({ protocol: "tcp", containerPort: 80, hostIp: "", hostPort: 0, hostPortEnd: 0, ...over });

describe("parsePublish", () => {
  test.each([
    ["80", [one({})]],
    ["8080:80", [one({ hostPort: 8080, hostPortEnd: 8080 })]],
    ["8080:80/udp", [one({ protocol: "udp", hostPort: 8080, hostPortEnd: 8080 })]],
    ["8080:80/SCTP", [one({ protocol: "sctp", hostPort: 8080, hostPortEnd: 8080 })]],
    ["127.0.0.1:8080:80", [one({ hostIp: "127.0.0.1", hostPort: 8080, hostPortEnd: 8080 })]],
    ["127.0.0.1::80", [one({ hostIp: "127.0.0.1" })]],
    ["127.0.0.1:0:80", [one({ hostIp: "127.0.0.1" })]],
    ["0:80-81", [one({}), one({ containerPort: 81 })]],
    [":80", [one({})]],
    ["[::1]:8080:80", [one({ hostIp: "::1", hostPort: 8080, hostPortEnd: 8080 })]],
    ["[::]::80/udp", [one({ hostIp: "::", protocol: "udp" })]],
    [
      "8000-8001:80-81",
      [one({ hostPort: 8000, hostPortEnd: 8000 }), one({ containerPort: 81, hostPort: 8001, hostPortEnd: 8001 })],
    ],
    ["8000-8010:80", [one({ hostPort: 8000, hostPortEnd: 8010 })]],
    ["80-81", [one({}), one({ containerPort: 81 })]],
    ["target=80,published=8080,protocol=udp", [one({ protocol: "udp", hostPort: 8080, hostPortEnd: 8080 })]],
  ])("%s", (spec, expected) => {
    expect(parsePublish(spec)).toEqual(expected as ReturnType<typeof parsePublish>);
  });

  test.each([
    "",
    "0",
    "65536",
    "a",
    "8080:",
    "80:80:80:80",
    "80/icmp",
    "1.2.3:x:80",
    "9-8",
    "8000-8002:80-81",
    "host:80:80",
    "published=1",
  ])("%p is refused", (spec) => {
    expect(() => parsePublish(spec)).toThrow(UsageError);
  });

  test("garbage is an error of use, nothing else", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9:.\-/[\]a-z=,]*$/)), (spec) => {
        try {
          for (const port of parsePublish(spec)) {
            expect(port.containerPort).toBeWithin(1, 65536);
            expect(port.hostPort).toBeWithin(0, 65536);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

test("parseExpose", () => {
  expect(["80", "53/udp", "8000-8002"].flatMap(parseExpose)).toEqual(["80/tcp", "53/udp", "8000/tcp", "8001/tcp", "8002/tcp"]);
  expect(() => parseExpose("x")).toThrow(UsageError);
});

test("ports as ps shows them", () => {
  const at = (hostIp: string, hostPort: number, containerPort: number) =>
    ({ protocol: "tcp", containerPort, hostIp, hostPort, hostPortEnd: hostPort, network: "n" }) as const;
  expect(portsColumn([at("::", 8080, 80), at("0.0.0.0", 8080, 80), at("127.0.0.1", 1, 22)])).toBe(
    "127.0.0.1:1->22/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
  );
  expect(portsColumn([at("0.0.0.0", 81, 81), at("0.0.0.0", 80, 80), at("::", 80, 80)], ["91/udp", "90/udp", "93/udp"])).toBe(
    "90-91/udp, 0.0.0.0:80-81->80-81/tcp, [::]:80->80/tcp, 93/udp",
  );
});
