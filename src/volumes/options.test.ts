import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { MOUNT_ATTR } from "../sys/constants.ts";
import { parseVolumeOptions } from "./options.ts";

const how = { attributes: 0, data: [], text: "" };

describe("options of the local driver", () => {
  test.each([
    [{}, { kind: "directory" }],
    [{ size: "64m" }, { kind: "image", type: "ext4", size: 64 << 20, how }],
    [
      { type: "xfs", size: "1g", o: "ro" },
      { kind: "image", type: "xfs", size: 2 ** 30, how: { ...how, attributes: 1, text: "ro" } },
    ],
    [
      { type: "tmpfs", device: "tmpfs", o: "size=100m,uid=1000,noexec" },
      {
        ...{ kind: "mount", type: "tmpfs", device: "tmpfs" },
        how: {
          attributes: MOUNT_ATTR.MOUNT_ATTR_NOEXEC,
          data: [
            ["size", "100m"],
            ["uid", "1000"],
          ],
          text: "size=100m,uid=1000,noexec",
        },
      },
    ],
    [
      { type: "tmpfs", size: "1m" },
      { kind: "mount", type: "tmpfs", device: "tmpfs", how: { ...how, data: [["size", "1048576"]], text: "size=1048576" } },
    ],
    [
      { type: "none", o: "bind,ro", device: "/srv" },
      { kind: "bind", device: "/srv", recursive: false, how: { ...how, attributes: 1, text: "ro" } },
    ],
    [
      { o: "rbind", device: "/srv" },
      { kind: "bind", device: "/srv", recursive: true, how },
    ],
    [
      { type: "nfs", device: ":/srv", o: "addr=10.0.0.5,rw,nfsvers=4" },
      {
        ...{ kind: "mount", type: "nfs", device: ":/srv" },
        how: {
          attributes: 0,
          data: [
            ["addr", "10.0.0.5"],
            ["nfsvers", "4"],
          ],
          text: "addr=10.0.0.5,nfsvers=4",
        },
      },
    ],
    [
      { type: "ext4", device: "/image", o: "loop" },
      { kind: "mount", type: "ext4", device: "/image", how },
    ],
    [
      { type: "btrfs", device: "/dev/x", o: "subvol=a" },
      { kind: "mount", type: "btrfs", device: "/dev/x", how: { ...how, data: [["subvol", "a"]], text: "subvol=a" } },
    ],
  ] as [Record<string, string>, object][])("%j", (options, source) => {
    expect(parseVolumeOptions(options)).toEqual(source as never);
  });

  test.each([
    [{ colour: "red" }, "known are type, o, device, size"],
    [{ type: "nfs" }, "which nfs is to be mounted?"],
    [{ device: "/dev/x" }, "type is missing"],
    [{ type: "ext4" }, "device is missing"],
    [{ o: "ro" }, "device is missing"],
    [{ type: "none", device: "relative" }, "needs an absolute path"],
    [{ type: "none", device: "/a", size: "1m" }, "no size of its own"],
    [{ type: "nfs", device: ":/a", size: "1m" }, "it is for tmpfs"],
    [{ type: "a b", device: "/a" }, "no name of a file system"],
    [{ size: "1k" }, "needs 1m at least"],
    [{ type: "xfs", size: "10m" }, "needs 300m at least"],
    [{ size: "lots" }, "is not a size"],
  ] as [Record<string, string>, string][])("%j is refused", (options, message) => {
    expect(() => parseVolumeOptions(options)).toThrow(message);
  });

  test("whatever is given is a source, or an OnggiError", () => {
    const key = fc.oneof(fc.constantFrom("type", "o", "device", "size"), fc.string());
    const value = fc.oneof(fc.constantFrom("bind", "tmpfs", "ext4", "/a", "1m", "ro,size=1", "none", ""), fc.string());
    fc.assert(
      fc.property(fc.dictionary(key, value), (options) => {
        try {
          expect(["directory", "image", "bind", "mount"]).toContain(parseVolumeOptions(options).kind);
        } catch (error) {
          if (!(error instanceof OnggiError)) throw error;
          expect(error.code).toBe("invalid_volume_option");
        }
      }),
    );
  });
});
