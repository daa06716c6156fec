import { expect, test } from "bun:test";
import { cniOptions } from "./engine-cni.ts";

const nothing = { cniConfigDir: undefined, cniBinDir: undefined, cniTimeout: undefined };

test("what is not said is the engine's", () => {
  expect(cniOptions(nothing)).toEqual({ timeoutMs: 30_000 });
});

test("directories and seconds", () => {
  expect(cniOptions({ cniConfigDir: "/etc/net.d", cniBinDir: "/a:/b:", cniTimeout: "0.5" })).toEqual({
    configDir: "/etc/net.d",
    binDirs: ["/a", "/b"],
    timeoutMs: 500,
  });
});

test.each([
  [{ cniTimeout: "0" }, "--cni-timeout 0: give seconds"],
  [{ cniTimeout: "1m" }, "give seconds"],
  [{ cniTimeout: "4000" }, "at most 3600"],
  [{ cniConfigDir: "net.d" }, "CNI directory net.d: an absolute path"],
  [{ cniBinDir: "/a:b" }, "CNI directory b: an absolute path"],
])("%j is refused", (given, why) => {
  expect(() => cniOptions({ ...nothing, ...given })).toThrow(why);
});
