import { expect, test } from "bun:test";
import { arpAnnouncement, neighbourAdvertisement } from "./announce.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

test("an ARP announcement", () => {
  expect(hex(arpAnnouncement("10.0.0.9", "02:00:00:00:00:0a"))).toBe(
    "ffffffffffff02000000000a08060001080006040001" + "02000000000a0a000009" + "0000000000000a000009",
  );
});

test("a neighbour advertisement whose checksum comes out", () => {
  const frame = neighbourAdvertisement("fd00::9", "02:00:00:00:00:0a");
  expect(hex(frame.subarray(0, 22))).toBe("33330000000102000000000a86dd" + "6000000000203aff");
  expect(hex(frame.subarray(54 + 4))).toBe("20000000" + "fd000000000000000000000000000009" + "020102000000000a");
  // The ones' complement sum over all, the checksum included, is all ones.
  let sum = 32 + 58;
  for (let at = 22; at < frame.length; at += 2) sum += (frame[at]! << 8) | frame[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  expect(sum).toBe(0xffff);
});
