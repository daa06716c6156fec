import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { argumentsOf, attachmentOf } from "./environment.ts";
import { CniError } from "./errors.ts";

const good = { CNI_CONTAINERID: "a1._-", CNI_IFNAME: "eth0", CNI_NETNS: "/run/netns/x" };

test("an attachment", () => {
  expect(attachmentOf(good, true)).toEqual({ containerId: "a1._-", interface: "eth0", netns: "/run/netns/x" });
  expect(attachmentOf({ ...good, CNI_NETNS: "" }, false).netns).toBe("");
});

describe("an error names every variable that is wrong", () => {
  test.each([
    [{ ...good, CNI_CONTAINERID: "" }, ["CNI_CONTAINERID"]],
    [{ ...good, CNI_CONTAINERID: "-x" }, ["CNI_CONTAINERID"]],
    [{ ...good, CNI_CONTAINERID: "a/b" }, ["CNI_CONTAINERID"]],
    [{ ...good, CNI_IFNAME: "sixteen-bytes-xx" }, ["CNI_IFNAME"]],
    [{ ...good, CNI_IFNAME: ".." }, ["CNI_IFNAME"]],
    [{ ...good, CNI_IFNAME: "a b" }, ["CNI_IFNAME"]],
    [{ ...good, CNI_NETNS: "netns" }, ["CNI_NETNS"]],
    [{ ...good, CNI_NETNS: "/proc/self/fd/5" }, ["CNI_NETNS"]],
    [{}, ["CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS"]],
  ])("%j", (env, names) => {
    expect(() => attachmentOf(env, true)).toThrow(CniError);
    for (const name of names) expect(() => attachmentOf(env, true)).toThrow(name);
  });
});

describe("CNI_ARGS", () => {
  test.each([
    [undefined, {}],
    ["", {}],
    ["K8S_POD_NAME=web-0;K8S_POD_NAMESPACE=default;K8S_POD_UID=1;", { name: "web-0" }],
    ["IgnoreUnknown=1;FOO=BAR;IP=10.0.0.1;MAC=02:00:00:00:00:01", { ip: "10.0.0.1", mac: "02:00:00:00:00:01" }],
    ["FOO=a=b;IgnoreUnknown=true;K8S_POD_NAME=", {}],
  ])("%p", (text, result) => {
    expect(argumentsOf({ CNI_ARGS: text })).toEqual(result);
  });

  test.each(["FOO=BAR", "FOO", "=x", "K8S_POD_NAME=a b", "IgnoreUnknown=0;__proto__=1", "x=".repeat(5000)])(
    "refused: %p",
    (text) => {
      expect(() => argumentsOf({ CNI_ARGS: text })).toThrow("CNI_ARGS");
    },
  );

  test("any text is arguments or an error of ours", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          argumentsOf({ CNI_ARGS: text });
        } catch (error) {
          expect(error).toBeInstanceOf(CniError);
        }
      }),
    );
  });
});
