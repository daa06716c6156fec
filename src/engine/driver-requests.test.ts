import { expect, test } from "bun:test";
import { namesOf } from "./driver-requests.ts";

const known = (...names: string[]) => new Map(names.map((name) => [name, true]));
const gpus = known("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all", "v/c=a");
const gpu = { capabilities: [["gpu"]] };

test("cdi: by name", () => {
  expect(namesOf({ driver: "cdi", ids: ["v/c=a", "v/c=b"] }, gpus)).toEqual(["v/c=a", "v/c=b"]);
  expect(() => namesOf({ driver: "cdi", ids: ["/dev/null"] }, gpus)).toThrow('CDI device "/dev/null": write VENDOR/CLASS=NAME');
  expect(() => namesOf({ driver: "cdi", count: 1 }, gpus)).toThrow("unexpected count in CDI device request");
  expect(() => namesOf({ driver: "cdi", options: { a: "b" } }, gpus)).toThrow("unexpected options in CDI device request");
});

test("GPUs: all, some, or by their ids", () => {
  expect(namesOf({ ...gpu, count: -1 }, gpus)).toEqual(["nvidia.com/gpu=all"]);
  expect(namesOf({ ...gpu, count: -1 }, known("nvidia.com/gpu=0", "nvidia.com/gpu=1"))).toEqual([
    "nvidia.com/gpu=0",
    "nvidia.com/gpu=1",
  ]);
  expect(namesOf({ ...gpu, count: 2, driver: "nvidia" }, gpus)).toEqual(["nvidia.com/gpu=0", "nvidia.com/gpu=1"]);
  expect(namesOf({ capabilities: [["tpu"], ["gpu", "compute"]], ids: ["GPU-7"] }, gpus)).toEqual(["nvidia.com/gpu=GPU-7"]);
  expect(() => namesOf({ ...gpu, count: 1, ids: ["0"] }, gpus)).toThrow("cannot set both Count and DeviceIDs on device request");
});

test("what nobody can is refused in Docker's words", () => {
  expect(() => namesOf({ ...gpu, count: -1 }, known("v/c=a"))).toThrow(
    'could not select device driver "" with capabilities: [[gpu]]',
  );
  expect(() => namesOf({ driver: "amd", capabilities: [["gpu", "x"], ["y"]] }, gpus)).toThrow(
    '"amd" with capabilities: [[gpu x] [y]]',
  );
  expect(() => namesOf({}, gpus)).toThrow('could not select device driver "" with capabilities: []');
});
