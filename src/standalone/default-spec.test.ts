import { expect, test } from "bun:test";
import { validateSpec } from "../oci/validate.ts";
import { defaultSpec } from "./default-spec.ts";

test.each([true, false])("the default specification is valid and fresh each time, rootless %p", (rootless) => {
  const first = defaultSpec({ rootless });
  expect(validateSpec(first)).toEqual(first);
  first.process!.capabilities!.bounding!.push("CAP_SYS_ADMIN");
  first.linux!.maskedPaths!.length = 0;
  first.mounts![4]!.options!.push("suid");
  expect(defaultSpec({ rootless }).process!.capabilities!.bounding).not.toContain("CAP_SYS_ADMIN");
  expect(defaultSpec({ rootless }).process!.capabilities!.effective).not.toContain("CAP_SYS_ADMIN");
  expect(defaultSpec({ rootless }).linux!.maskedPaths).toContain("/proc/kcore");
  expect(defaultSpec({ rootless }).mounts![5]!.options).not.toContain("suid");
});

test("a user who is not root is the container's root, alone, on the host's network and without limits", () => {
  const { linux, mounts } = defaultSpec({ rootless: true });
  const types = linux!.namespaces!.map(({ type }) => type);
  expect(types).toContain("user");
  expect(types).not.toContain("network");
  expect(linux!.uidMappings).toEqual([{ containerID: 0, hostID: process.geteuid!(), size: 1 }]);
  expect(linux!.gidMappings).toEqual([{ containerID: 0, hostID: process.getegid!(), size: 1 }]);
  expect(linux!.resources).toBeUndefined();
  expect(mounts!.flatMap(({ options = [] }) => options).filter((option) => /^[ug]id=/.test(option))).toEqual([]);
  expect(mounts!.find(({ destination }) => destination === "/sys")).toMatchObject({ type: "none", source: "/sys" });
});
