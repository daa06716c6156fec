import { expect, test } from "bun:test";
import { constants } from "node:os";
import { errno, errnoName, errnoText, isErrno, SysError } from "./errno.ts";

test("numbers are those of the system", () => {
  expect(errno).toMatchObject(constants.errno);
});

test("every number has a name that leads back to it, and a text", () => {
  for (const number of new Set(Object.values(errno))) {
    expect(errno[errnoName(number) as keyof typeof errno]).toBe(number);
    expect(errnoText(number)).not.toBe("unknown error");
  }
  expect(errnoName(11)).toBe("EAGAIN");
  expect([errnoName(4000), errnoText(4000)]).toEqual(["E4000", "unknown error"]);
});

test("an error tells call, path, code and meaning", () => {
  const error = new SysError("openat2", errno.ENOENT, { path: "/x/y" });
  expect(error.message).toBe("openat2 /x/y: ENOENT (no such file or directory)");
  expect(error).toMatchObject({ name: "SysError", code: "ENOENT", errno: 2, call: "openat2", path: "/x/y" });
  expect(new SysError("fsopen", errno.ENODEV, { detail: "why" }).message).toBe("fsopen: ENODEV (no such device): why");
});

test("isErrno knows SysError, errors of node:fs, and both names of one number", () => {
  const again = new SysError("read", errno.EAGAIN);
  expect([isErrno(again, "EAGAIN"), isErrno(again, "EWOULDBLOCK"), isErrno(again, "ENOENT", "EPERM")]).toEqual([
    true,
    true,
    false,
  ]);
  expect(isErrno(Object.assign(new Error(), { code: "ENOENT" }), "EPERM", "ENOENT")).toBe(true);
  expect([isErrno(null, "ENOENT"), isErrno({ code: "ENOENT" }, "ENOENT"), isErrno(new Error("x"), "ENOENT")]).toEqual([
    false,
    false,
    false,
  ]);
});
