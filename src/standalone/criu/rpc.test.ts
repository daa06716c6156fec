import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../../lib/errors.ts";
import { decodeMessage, encodeMessage, type Field } from "./protobuf.ts";
import {
  type CriuSettings,
  decodeResponse,
  encodeFeatureRequest,
  encodeNotified,
  encodeRequest,
  encodeVersionRequest,
} from "./rpc.ts";

const settings: CriuSettings = {
  imagesDirFd: 5,
  logLevel: 4,
  logFile: "dump.log",
  root: "/root",
  cgroupsMode: "default",
  emptyNamespaces: 0x4000_0000,
  orphanPtsMaster: true,
  networkLock: "iptables",
};

const message = (...fields: Field[]): Uint8Array => encodeMessage(fields);

/** criu_opts in a request. */
function options(type: "dump" | "restore" | "preDump", changes: Partial<CriuSettings> = {}) {
  const request = decodeMessage(encodeRequest(type, { ...settings, ...changes }));
  return { type: request.get(1), options: decodeMessage(request.get(2)?.[0] as Uint8Array) };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("requests, by the numbers of criu's rpc.proto", () => {
  test("what every request has", () => {
    expect(options("dump")).toEqual({
      type: [1n],
      options: new Map([
        [1, [5n]],
        [9, [4n]],
        [10, [bytes("dump.log")]],
        [12, [1n]],
        [13, [bytes("/root")]],
        [24, [1n]],
        [34, [6n]],
        [38, [0x4000_0000n]],
        [50, [1n]],
        [64, [1n]],
      ]),
    });
  });

  test("types", () => {
    expect(options("restore").type).toEqual([2n]);
    expect(options("preDump").type).toEqual([4n]);
    expect(decodeMessage(encodeVersionRequest())).toEqual(new Map([[1, [10n]]]));
    expect(decodeMessage(encodeFeatureRequest({ memoryTracking: true, lazyPages: false }))).toEqual(
      new Map([
        [1, [9n]],
        [5, [message([1, true], [2, false])]],
      ]),
    );
    expect(decodeMessage(encodeNotified(false))).toEqual(
      new Map([
        [1, [6n]],
        [3, [0n]],
      ]),
    );
  });

  test.each<[keyof CriuSettings, unknown, number, unknown[]]>([
    ["pid", 7, 2, [7n]],
    ["leaveRunning", true, 3, [1n]],
    ["externalUnixSockets", true, 4, [1n]],
    ["tcpEstablished", true, 5, [1n]],
    ["evasiveDevices", true, 6, [1n]],
    ["shellJob", true, 7, [1n]],
    ["fileLocks", true, 8, [1n]],
    ["pageServer", { address: "::1", port: 9 }, 11, [message([1, "::1"], [2, 9])]],
    ["parentImage", "../p", 14, [bytes("../p")]],
    ["trackMemory", true, 15, [1n]],
    ["autoDedup", true, 16, [1n]],
    ["workDirFd", 6, 17, [6n]],
    ["linkRemap", true, 18, [1n]],
    [
      "externalMounts",
      [
        ["/a", "/b"],
        ["/c", "/d"],
      ],
      23,
      [message([1, "/a"], [2, "/b"]), message([1, "/c"], [2, "/d"])],
    ],
    ["cgroupRoots", [["", "/g"]], 25, [message([1, ""], [2, "/g"])]],
    ["restoreSibling", true, 26, [1n]],
    ["inheritFds", [["pipe:[1]", 2]], 27, [message([1, "pipe:[1]"], [2, 2])]],
    ["cgroupsMode", "strict", 34, [5n]],
    ["external", ["net[1]:key"], 37, [bytes("net[1]:key")]],
    ["joinNamespaces", [["ipc", "/p"]], 39, [message([1, "ipc"], [2, "/p"])]],
    ["freezeCgroup", "/f", 44, [bytes("/f")]],
    ["tcpSkipInFlight", true, 46, [1n]],
    ["lazyPages", true, 48, [1n]],
    ["configFile", "/c", 51, [bytes("/c")]],
    ["lsmProfile", "selinux:x", 53, [bytes("selinux:x")]],
    ["lsmMountContext", "x", 63, [bytes("x")]],
    ["networkLock", "nftables", 64, [2n]],
  ])("%s", (name, value, number, expected) => {
    expect(options("dump", { [name]: value }).options.get(number)).toEqual(expected as never);
  });
});

describe("responses", () => {
  const features = { memoryTracking: false, lazyPages: false };

  test("of a restore", () => {
    expect(decodeResponse(message([1, 2], [2, true], [4, message([1, 4711])]))).toEqual({
      type: 2,
      success: true,
      restoredPid: 4711,
      notification: null,
      errno: 0,
      features,
      version: 0,
    });
  });

  test("a notification, with and without a process", () => {
    const notification = (...fields: Field[]) => decodeResponse(message([1, 6], [2, true], [5, message(...fields)])).notification;
    expect(notification([1, "post-restore"], [2, 7])).toEqual({ script: "post-restore", pid: 7 });
    expect(notification([1, "network-lock"])).toEqual({ script: "network-lock", pid: 0 });
  });

  test("a failure", () => {
    expect(decodeResponse(message([1, 1], [2, false], [7, -3]))).toMatchObject({ type: 1, success: false, errno: -3 });
  });

  test("features and version", () => {
    expect(decodeResponse(message([1, 9], [2, true], [8, message([1, true], [2, true])])).features).toEqual({
      memoryTracking: true,
      lazyPages: true,
    });
    expect(decodeResponse(message([1, 10], [2, true], [10, message([1, 4], [2, 1], [4, 1])])).version).toBe(40_101);
  });

  test("any bytes are a response or refused by code", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (given) => {
        try {
          const { type, errno, version } = decodeResponse(given);
          expect([type, errno, version].every(Number.isInteger)).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("what is added by newer versions is passed over", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 20, max: 500 }), fc.oneof(fc.integer(), fc.string()))), (extra) => {
        expect(decodeResponse(message([1, 1], [2, true], ...extra))).toMatchObject({ type: 1, success: true });
      }),
    );
  });
});
