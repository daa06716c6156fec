/** Frames that tell neighbours whose hardware address an IP address has become. Pure. */
import { parseIp, parseMac } from "../sys/ipaddress.ts";

const ETHERNET = 14;

function ethernet(destination: string, source: string, type: number, length: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET + length);
  frame.set(parseMac(destination), 0);
  frame.set(parseMac(source), 6);
  new DataView(frame.buffer).setUint16(12, type);
  return frame;
}

/** An ARP announcement, RFC 5227 section 2.3. */
export function arpAnnouncement(ipv4: string, mac: string): Uint8Array {
  const frame = ethernet("ff:ff:ff:ff:ff:ff", mac, 0x0806, 28);
  // Ethernet, IPv4, their lengths, request
  frame.set([0, 1, 0x08, 0, 6, 4, 0, 1], ETHERNET);
  frame.set(parseMac(mac), ETHERNET + 8);
  frame.set(parseIp(ipv4), ETHERNET + 14);
  frame.set(parseIp(ipv4), ETHERNET + 24);
  return frame;
}

/** An unsolicited neighbour advertisement to all nodes, RFC 4861 section 7.2.6. */
export function neighbourAdvertisement(ipv6: string, mac: string): Uint8Array {
  const frame = ethernet("33:33:00:00:00:01", mac, 0x86dd, 40 + 32);
  const header = frame.subarray(ETHERNET, ETHERNET + 40);
  // version 6, payload of 32 bytes, ICMPv6, hop limit 255
  header.set([0x60, 0, 0, 0, 0, 32, 58, 255]);
  header.set(parseIp(ipv6), 8);
  header.set(parseIp("ff02::1"), 24);
  const message = frame.subarray(ETHERNET + 40);
  // neighbour advertisement that overrides; then the option "target link-layer address"
  message.set([136, 0, 0, 0, 0x20]);
  message.set(parseIp(ipv6), 8);
  message.set([2, 1], 24);
  message.set(parseMac(mac), 26);
  const sum = checksum(header.subarray(8), message, Uint8Array.of(0, 32, 0, 58));
  message.set([sum >> 8, sum & 0xff], 2);
  return frame;
}

/** RFC 1071, of parts of an even length each. */
function checksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) for (let at = 0; at < part.length; at += 2) sum += (part[at]! << 8) | part[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
