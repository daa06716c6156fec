import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { MOUNT_ATTR as A, MS } from "../sys/constants.ts";
import { parseBitList } from "./bit-list.ts";
import { parseMountOptions } from "./mount-options.ts";

const parse = (...options: string[]) => parseMountOptions(options, "tmpfs");

describe("mount options", () => {
  test("set and clear attributes, the later one wins", () => {
    expect(parse("ro", "nosuid", "suid", "noexec").attributes).toEqual({
      set: A.MOUNT_ATTR_RDONLY | A.MOUNT_ATTR_NOEXEC,
      clear: A.MOUNT_ATTR_NOSUID,
    });
    expect(parse("ro", "rw").attributes).toEqual({ set: 0, clear: A.MOUNT_ATTR_RDONLY });
  });

  test("clear the whole field of access times before one is set", () => {
    expect(parse("noatime").attributes).toEqual({
      set: A.MOUNT_ATTR_NOATIME,
      clear: A.MOUNT_ATTR__ATIME,
    });
    expect(parse("noatime", "strictatime").attributes.set).toBe(A.MOUNT_ATTR_STRICTATIME);
    expect(parse("noatime", "relatime").attributes).toEqual({ set: 0, clear: A.MOUNT_ATTR__ATIME });
  });

  test("tell relatime from atime for the whole tree, and ro from rro", () => {
    expect(parse("relatime").recursiveAttributes).toEqual({ set: 0, clear: 0 });
    expect(parse("rnoatime").recursiveAttributes.set).toBe(A.MOUNT_ATTR_NOATIME);
    expect(parse("rro", "rnosuid").recursiveAttributes.set).toBe(A.MOUNT_ATTR_RDONLY | A.MOUNT_ATTR_NOSUID);
    expect(parse("rro").attributes.set).toBe(0);
  });

  test("pass on what belongs to the super block or the file system", () => {
    const { superFlags, data, propagation, copyUp } = parse(
      "sync",
      "lazytime",
      "size=1m",
      "x=a=b",
      "newinstance",
      "rslave",
      "tmpcopyup",
      "defaults",
    );
    expect(superFlags).toEqual(["sync", "lazytime"]);
    expect(data).toEqual([["size", "1m"], ["x", "a=b"], ["newinstance"]]);
    expect(propagation).toEqual([MS.MS_SLAVE | MS.MS_REC]);
    expect(copyUp).toBeTrue();
  });

  test("are not what every object has", () => {
    expect(parseMountOptions(["constructor", "rtoString", "__proto__"], "tmpfs").data).toEqual([
      ["constructor"],
      ["rtoString"],
      ["__proto__"],
    ]);
  });

  test("of a bind mount are known by type or by option", () => {
    expect(parseMountOptions(["rbind", "ridmap"], undefined)).toMatchObject({ bind: true, recursive: true, idmap: "tree" });
    expect(parseMountOptions([], "bind")).toMatchObject({ bind: true, recursive: false, idmap: false });
    expect(parseMountOptions(["bind", "mode=755", "rw"], "none").data).toEqual([]);
    expect(() => parseMountOptions(["bind", "readonly"], "none")).toThrow(
      'mount option "readonly": not an option of a bind mount',
    );
  });

  test("of crun's", () => {
    expect(parseMountOptions(["rbind", "copy-symlink", "rsync", "rnomand"], "none")).toMatchObject({
      copySymlink: true,
      superFlags: ["sync", "nomand"],
    });
    expect(parseMountOptions(["bind", "src-nofollow", "dest-nofollow"], "none")).toMatchObject({
      sourceNoFollow: true,
      placeNoFollow: true,
    });
  });

  const contradictions: [string[], string][] = [
    [["idmap"], 'mount option "idmap": only bind mounts can be id-mapped'],
    [["bind", "tmpcopyup"], 'mount option "tmpcopyup": is for a tmpfs, not a bind mount'],
    [["bind", "copy-symlink", "src-nofollow"], 'mount option "copy-symlink": excludes src-nofollow and dest-nofollow'],
    [["remount", "size=1m"], 'mount option "size": a remount changes the mount\'s own attributes here'],
  ];
  test.each(contradictions)("%j contradict each other", (options, message) => {
    expect(() => parseMountOptions(options, "tmpfs")).toThrow(message);
  });

  /** Every name of config.md's table and of the kernel's mount(8). */
  const known = [
    ..."async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime noexec".split(
      " ",
    ),
    ..."noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev rdiratime".split(" "),
    ..."relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid rnosymfollow ro".split(" "),
    ..."rnodev rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent".split(" "),
    ..."slave strictatime suid symfollow sync unbindable idmap ridmap".split(" "),
  ];
  test.each(known)("%s is no business of the file system's", (option) => {
    const type = option === "idmap" || option === "ridmap" ? "bind" : "tmpfs";
    expect(parseMountOptions([option], type).data).toEqual([]);
  });

  test("never set and clear the same bit, but for the field of access times, whatever is given", () => {
    const names = [
      "ro",
      "rw",
      "suid",
      "nosuid",
      "atime",
      "noatime",
      "relatime",
      "strictatime",
      "rro",
      "rrw",
      "rnoatime",
      "nodiratime",
      "diratime",
    ];
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...names), fc.string())), (options) => {
        let parsed: ReturnType<typeof parseMountOptions>;
        try {
          parsed = parseMountOptions(options, "x");
        } catch (error) {
          expect(error).toBeInstanceOf(OnggiError);
          return;
        }
        for (const { set, clear } of [parsed.attributes, parsed.recursiveAttributes]) {
          expect(set & clear & ~A.MOUNT_ATTR__ATIME).toBe(0);
        }
      }),
    );
  });
});

describe("lists of CPUs and nodes", () => {
  test("become bit masks", () => {
    expect([...parseBitList("0-2,7", "cpus")]).toEqual([0x87, 0, 0, 0, 0, 0, 0, 0]);
    expect([...parseBitList("64", "cpus")].slice(8)).toEqual([1, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("that are none are refused", () => {
    for (const list of ["", "a", "3-1", "1,,2", "-1", "65536", "1-99999"])
      expect(() => parseBitList(list, "cpus")).toThrow(OnggiError);
  });
});
