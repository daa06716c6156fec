import { expect, test } from "bun:test";
import fc from "fast-check";
import { OnggiError } from "../lib/errors.ts";
import { parseGroup, parsePasswd, resolveUser } from "./users.ts";

const files = {
  passwd: "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv/app:\n77:x:5:6::/seventy:\n# comment\nbroken\n\n",
  group: "root:x:0:\nstaff:x:50:app,other\nwheel:x:10:app\n1234:x:9:\n",
};

test.each([
  [undefined, { uid: 0, gid: 0, additionalGids: [0], home: "/root" }],
  ["", { uid: 0, gid: 0, additionalGids: [0], home: "/root" }],
  ["app", { uid: 1000, gid: 1001, additionalGids: [10, 50, 1001], home: "/srv/app" }],
  ["1000", { uid: 1000, gid: 1001, additionalGids: [10, 50, 1001], home: "/srv/app" }],
  // a name outweighs a number
  ["77", { uid: 5, gid: 6, additionalGids: [6], home: "/seventy" }],
  ["app:1234", { uid: 1000, gid: 9, additionalGids: [9], home: "/srv/app" }],
  ["app:staff", { uid: 1000, gid: 50, additionalGids: [50], home: "/srv/app" }],
  ["4242", { uid: 4242, gid: 0, additionalGids: [0], home: "/" }],
  ["4242:7", { uid: 4242, gid: 7, additionalGids: [7], home: "/" }],
  [":staff", { uid: 0, gid: 50, additionalGids: [50], home: "/root" }],
])("%p", (wanted, user) => {
  expect(resolveUser(wanted, files)).toEqual(user);
});

test("groups can be added by name and number, each once", () => {
  expect(resolveUser("app", files, ["root", "50", "3"]).additionalGids).toEqual([0, 3, 10, 50, 1001]);
});

test.each([
  ["nobody", "unknown_user"],
  ["-1", "unknown_user"],
  ["2147483648", "unknown_user"],
  ["app:nogroup", "unknown_group"],
  ["0:99999999999", "unknown_group"],
])("%p is refused", (wanted, code) => {
  expect(() => resolveUser(wanted, files)).toThrow(expect.objectContaining({ code }));
});

test("an image without the files knows root and numbers", () => {
  expect(resolveUser(undefined, { passwd: "", group: "" })).toEqual({ uid: 0, gid: 0, additionalGids: [0], home: "/" });
});

test("any files and any user give ids in range or an error of ours", () => {
  const line = fc
    .array(fc.oneof(fc.string(), fc.nat().map(String), fc.constant("0")), { maxLength: 8 })
    .map((fields) => fields.join(":"));
  const file = fc.array(line).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(file, file, fc.oneof(fc.string(), fc.nat().map(String)), (passwd, group, wanted) => {
      for (const { uid, gid } of parsePasswd(passwd)) expect(uid >= 0 && uid < 2 ** 31 && gid >= 0 && gid < 2 ** 31).toBeTrue();
      for (const { gid } of parseGroup(group)) expect(gid >= 0 && gid < 2 ** 31).toBeTrue();
      try {
        const { uid, gid, home } = resolveUser(wanted, { passwd, group });
        expect(Number.isInteger(uid) && Number.isInteger(gid) && home !== "").toBeTrue();
      } catch (error) {
        expect(error).toBeInstanceOf(OnggiError);
      }
    }),
    { numRuns: 300 },
  );
});
