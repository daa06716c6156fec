/** Limits of single block devices: what the kernel's files say, and that they hold. Needs root and a loop device. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attachLoop, close } from "../../src/sys/index.ts";
import { control } from "../kit/control.ts";
import { askDocker, refusalOf } from "../kit/docker-api.ts";
import { type Engine, startEngine } from "../kit/engine.ts";
import { bootstrapBusybox } from "../kit/images.ts";
import { skipLoudly } from "../kit/skip.ts";

const MIB = 2 ** 20;
const isV2 = existsSync("/sys/fs/cgroup/cgroup.controllers");

let engine: Engine;
let base: string;
/** "/dev/loop0", and its number. */
let disk: string;
let number: string;
let loop: number;

beforeAll(async () => {
  engine = startEngine();
  base = mkdtempSync(join(tmpdir(), "onggi-disk-"));
  const image = join(base, "image");
  const file = openSync(image, "w+");
  truncateSync(image, 32 * MIB);
  ({ fd: loop, path: disk } = attachLoop(file, { readOnly: false }));
  close(file);
  number = readFileSync(`/sys/block/${disk.slice("/dev/".length)}/dev`, "utf8").trim();
  await bootstrapBusybox(engine);
}, 120_000);
afterAll(async () => {
  close(loop);
  await engine.close();
  rmSync(base, { recursive: true });
}, 120_000);

type Rates = Record<"rbps" | "wbps" | "riops" | "wiops", string>;
const v1Files: Rates = {
  ...{ rbps: "read_bps_device", wbps: "write_bps_device", riops: "read_iops_device", wiops: "write_iops_device" },
};

/** What the kernel says of the disk for the group a process is in: "max" where there is no limit. */
function rates(pid: number): Rates {
  const names = Object.keys(v1Files) as (keyof Rates)[];
  const rate = (name: keyof Rates): string => {
    const text = control(pid, "io.max", { controller: "blkio", file: `blkio.throttle.${v1Files[name]}` });
    const line = text.split("\n").find((one) => one.startsWith(`${number} `));
    const pattern = isV2 ? new RegExp(` ${name}=(\\w+)`) : / (\w+)$/;
    return pattern.exec(line ?? "")?.[1] ?? "max";
  };
  return Object.fromEntries(names.map((name) => [name, rate(name)])) as Rates;
}

const none: Rates = { rbps: "max", wbps: "max", riops: "max", wiops: "max" };

const started = async (...flags: string[]): Promise<{ id: string; pid: number }> => {
  const id = await engine.ok(["run", "-d", ...flags, "busybox", "sleep", "1000"]);
  return { id, pid: (await engine.inspect(id)).State.Pid };
};

const all = () => [
  ...["--device-read-bps", `${disk}:1mb`, "--device-write-bps", `${disk}:2097152`],
  ...["--device-read-iops", `${disk}:300`, "--device-write-iops", `${disk}:400`],
];
const asked: Rates = { rbps: String(MIB), wbps: String(2 * MIB), riops: "300", wiops: "400" };

/** Of HostConfig, as Docker has it. */
const shown = () => ({
  BlkioDeviceReadBps: [{ Path: disk, Rate: MIB }],
  BlkioDeviceWriteBps: [{ Path: disk, Rate: 2 * MIB }],
  BlkioDeviceReadIOps: [{ Path: disk, Rate: 300 }],
  BlkioDeviceWriteIOps: [{ Path: disk, Rate: 400 }],
});

describe("rates", () => {
  test("are in the kernel and in inspect, at every start, after a change of some, and after the engine's death", async () => {
    const { id, pid } = await started(...all());
    expect(rates(pid)).toEqual(asked);
    expect((await engine.inspect(id)).HostConfig).toMatchObject({ ...shown(), BlkioWeightDevice: [] });

    await engine.ok(["update", "--device-read-bps", `${disk}:0`, "--device-write-iops", `${disk}:5`, id]);
    const changed = { ...asked, rbps: "max", wiops: "5" };
    expect(rates(pid)).toEqual(changed);
    await engine.murder();
    await engine.ok(["restart", "-t", "0", id]);
    expect(rates((await engine.inspect(id)).State.Pid)).toEqual(changed);
    await engine.ok(["rm", "-f", id]);
  });

  test("0 is no limit", async () => {
    const { id, pid } = await started("--device-read-bps", `${disk}:0`, "--device-read-iops", `${disk}:0`);
    expect(rates(pid)).toEqual(none);
    await engine.ok(["rm", "-f", id]);
  });

  test("hold: what is read and written directly takes as long as they say", async () => {
    const timed = async (flags: string[], command: string): Promise<number> => {
      const { id } = await started("--device", disk, ...flags);
      const from = performance.now();
      await engine.ok(["exec", id, "sh", "-c", command], { timeout: 60_000 });
      const took = performance.now() - from;
      await engine.ok(["rm", "-f", id]);
      return took;
    };
    const read = `dd if=${disk} of=/dev/null bs=64k count=48 iflag=direct`;
    const write = `dd if=/dev/zero of=${disk} bs=64k count=48 oflag=direct`;
    for (const [command, limit] of [
      [read, ["--device-read-bps", `${disk}:1mb`]],
      [write, ["--device-write-bps", `${disk}:1mb`]],
      [read, ["--device-read-iops", `${disk}:16`]],
      [write, ["--device-write-iops", `${disk}:16`]],
    ] as const) {
      // three seconds' worth; the kernel lets some of the first slice through
      const [free, limited] = [await timed([], command), await timed([...limit], command)];
      expect(limited).toBeGreaterThan(1500);
      expect(limited).toBeGreaterThan(1.5 * free);
    }
  }, 120_000);

  test("hold for a file system on the disk that is mounted into the container", async () => {
    const mounted = join(base, "mounted");
    mkdirSync(mounted);
    const call = (command: string[]) => {
      const { exitCode, stderr } = Bun.spawnSync(command);
      if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
    };
    call(["mkfs.ext4", "-q", disk]);
    call(["mount", disk, mounted]);
    try {
      writeFileSync(join(mounted, "file"), Buffer.alloc(3 * MIB, 7));
      call(["sync", "-f", mounted]);
      const { id, pid } = await started("-v", `${mounted}:/data:ro`, "--device-read-bps", `${disk}:1mb`);
      expect(rates(pid)).toEqual({ ...none, rbps: String(MIB) });
      const from = performance.now();
      await engine.ok(["exec", id, "dd", "if=/data/file", "of=/dev/null", "bs=64k", "iflag=direct"], { timeout: 60_000 });
      expect(performance.now() - from).toBeGreaterThan(1500);
      await engine.ok(["rm", "-f", id]);
    } finally {
      call(["umount", mounted]);
    }
  }, 60_000);

  test("a device is looked up at every start, and may be named by a link", async () => {
    const link = join(base, "link");
    symlinkSync(disk, link);
    const body = { Image: "busybox", Cmd: ["sleep", "1000"], HostConfig: { BlkioDeviceReadBps: [{ Path: link, Rate: 4096 }] } };
    const { value } = await askDocker<{ Id: string }>(engine, "POST", "/containers/create", body);
    await engine.ok(["start", value.Id]);
    expect(rates((await engine.inspect(value.Id)).State.Pid)).toEqual({ ...none, rbps: "4096" });
    rmSync(link);
    // what runs needs it no more
    expect(await engine.ok(["exec", value.Id, "echo", "still"])).toBe("still");
    await engine.ok(["update", "--pids-limit", "50", value.Id]);
    await engine.ok(["stop", "-t", "0", value.Id]);
    const { code, stderr } = await engine.onggi(["start", value.Id]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(`stat ${link}: no such file or directory`)]);
    symlinkSync(disk, link);
    await engine.ok(["start", value.Id]);
    await engine.ok(["rm", "-f", value.Id]);
  });

  test("explain shows what is written for them", async () => {
    const text = await engine.ok(["explain", "--memory", "64m", "--device-read-bps", `${disk}:1mb`, "busybox", "true"]);
    const [, written] = /^In the engine, before the shim\n {2}cgroups\n((?: {4}.*\n)+)/m.exec(text) ?? [];
    expect(written).toContain(isV2 ? `"${number} rbps=1048576"` : `read_bps_device", "${number} 1048576"`);
    expect(written).toContain("limit blockIO.throttleReadBpsDevice");
    expect(written).toContain("limit memory.limit");
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test("compose has them", async () => {
    const directory = join(base, "limited");
    mkdirSync(directory);
    const blkio = `{ device_read_bps: [{ path: ${disk}, rate: 1mb }], device_write_iops: [{ path: ${disk}, rate: 7 }] }`;
    const service = `image: busybox\n    command: sleep 1000\n    stop_grace_period: 0s\n    blkio_config: ${blkio}`;
    writeFileSync(join(directory, "compose.yaml"), `services:\n  web:\n    ${service}\n`);
    await engine.ok(["compose", "up", "-d"], { cwd: directory, timeout: 60_000 });
    expect(rates((await engine.inspect("limited-web-1")).State.Pid)).toEqual({ ...none, rbps: String(MIB), wiops: "7" });
    await engine.ok(["compose", "down", "-t", "0"], { cwd: directory, timeout: 60_000 });
  }, 120_000);
});

test("Docker's API takes and shows them, when a container is made and when it is changed", async () => {
  const HostConfig = { ...shown(), MemorySwappiness: -1 };
  const made = await askDocker<{ Id: string }>(engine, "POST", "/containers/create", {
    ...{ Image: "busybox", Cmd: ["sleep", "1000"], HostConfig },
  });
  expect(made.status).toBe(201);
  const { Id } = made.value;
  await askDocker(engine, "POST", `/containers/${Id}/start`);
  const { State, ...found } = await engine.inspect(Id);
  expect(found.HostConfig).toMatchObject({ ...shown(), MemorySwappiness: null });
  expect(rates(State.Pid)).toEqual(asked);
  const change = { BlkioDeviceReadBps: [{ Path: disk, Rate: 8192 }], BlkioDeviceWriteBps: [] };
  expect((await askDocker(engine, "POST", `/containers/${Id}/update`, change)).value).toEqual({ Warnings: null });
  expect(rates(State.Pid)).toEqual({ ...asked, rbps: "8192" });
  await engine.ok(["rm", "-f", Id]);
});

describe("refused, with nothing left", () => {
  test.each([
    [["--device-read-bps", "/dev/nosuch:1mb"], "stat /dev/nosuch: no such file or directory"],
    [["--device-read-iops", "/dev/null/x:1"], "stat /dev/null/x: not a directory"],
    [["--device-write-bps", "/dev/null:1mb"], "--device-write-bps /dev/null: it is no block device"],
    [["--blkio-weight-device", "/dev/zero:500"], "--blkio-weight-device /dev/zero: it is no block device"],
    [["--device-read-bps", "sda:1mb"], "bad format for device path: sda:1mb"],
    [["--device-read-bps", "/dev/sda:-1"], "invalid rate for device: /dev/sda:-1"],
    [["--blkio-weight", "5"], "Range of blkio weight is from 10 to 1000"],
  ])("%j", async (flags, words) => {
    const { code, stderr } = await engine.onggi(["run", "--rm", ...flags, "busybox", "true"]);
    expect([code, stderr]).toEqual([125, expect.stringContaining(words)]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test.each([
    [{ BlkioDeviceReadBps: [{ Path: "/dev/nosuch", Rate: 1 }] }, /^stat \/dev\/nosuch: no such file or directory$/],
    [{ BlkioDeviceReadBps: [{ Path: "sda", Rate: 1 }] }, "bad format for device path: sda"],
    [{ BlkioDeviceReadBps: [{ Rate: 1 }] }, "bad format for device path"],
    [{ BlkioDeviceReadBps: [{ Path: "/dev/sda", Rate: -1 }] }, "invalid rate for device: /dev/sda:-1"],
    [{ BlkioDeviceReadBps: [{ Path: "/dev/sda", Rate: "1mb" }] }, "must be a whole number"],
    [{ BlkioDeviceReadBps: ["/dev/sda"] }, "must be an object"],
    [{ BlkioWeightDevice: [{ Path: "/dev/sda", Weight: 1001 }] }, "invalid weight for device: /dev/sda:1001"],
    [{ MemorySwappiness: 101 }, "valid memory swappiness range is 0-100"],
  ])("%j by the API", async (HostConfig, words) => {
    const body = { Image: "busybox", HostConfig };
    // swappiness that a host has not is left out before anybody looks at it
    if (isV2 && "MemorySwappiness" in HostConfig) return;
    expect(await refusalOf(engine, "POST", "/containers/create", body)).toEqual([400, expect.stringMatching(words)]);
    expect(await engine.ok(["ps", "-aq"])).toBe("");
  });

  test("a change of a running container", async () => {
    const { id, pid } = await started(...all());
    const { code, stderr } = await engine.onggi(["update", "--device-read-bps", "/dev/nosuch:1", "--pids-limit", "5", id]);
    expect([code, stderr]).toEqual([1, expect.stringContaining("stat /dev/nosuch")]);
    expect(rates(pid)).toEqual(asked);
    expect(control(pid, "pids.max", { controller: "pids", file: "pids.max" })).toBe("max");
    await engine.ok(["rm", "-f", id]);
  });
});

test("a weight of a disk is in the kernel where the disk's scheduler has weights; elsewhere that is said", async () => {
  const file = `/sys/block/${disk.slice("/dev/".length)}/queue/scheduler`;
  const before = readFileSync(file, "utf8");
  const flags = ["--blkio-weight-device", `${disk}:500`];
  if (!isV2) {
    const { code, stderr } = await engine.onggi(["run", "--rm", ...flags, "busybox", "true"]);
    expect([code, stderr]).toEqual([125, expect.stringContaining("weights need a scheduler of the disk that has them")]);
  }
  if (!/\bbfq\b/.test(before)) return skipLoudly("--blkio-weight-device: this kernel has no bfq");
  writeFileSync(file, "bfq");
  try {
    const { id, pid } = await started(...flags);
    const weights = control(pid, "io.bfq.weight", { controller: "blkio", file: "blkio.bfq.weight_device" });
    expect(weights.split("\n")).toContain(`${number} 500`);
    expect((await engine.inspect(id)).HostConfig).toMatchObject({ BlkioWeightDevice: [{ Path: disk, Weight: 500 }] });
    await engine.ok(["rm", "-f", id]);
  } finally {
    writeFileSync(file, /\[(\S+)\]/.exec(before)?.[1] ?? "none");
  }
});

test("swappiness: cgroup v1 has it; on v2 it is left out, with Docker's warning", async () => {
  const { stdout, stderr } = await engine.onggi(["run", "-d", "--memory-swappiness", "7", "busybox", "sleep", "1000"]);
  const id = stdout.trim();
  const { State, HostConfig } = await engine.inspect(id);
  if (isV2) {
    expect(stderr).toContain("WARNING: Your kernel does not support memory swappiness capabilities");
    expect(HostConfig).toMatchObject({ MemorySwappiness: null });
  } else {
    expect(stderr).toBe("");
    expect(control(State.Pid, "", { controller: "memory", file: "memory.swappiness" })).toBe("7");
    expect(HostConfig).toMatchObject({ MemorySwappiness: 7 });
  }
  const changed = await engine.onggi(["update", "--memory-swappiness", "9", id]);
  expect([changed.code, changed.stderr.includes("WARNING: ")]).toEqual([0, isV2]);
  await engine.ok(["rm", "-f", id]);
});

// crun makes no containers on hybrid hosts, and is given the same file
const runc = Bun.which("runc");
if (!runc) skipLoudly("limits of block devices by runc: it is not installed");
test.skipIf(!runc)("another runtime has them in its config.json, and in the kernel", async () => {
  const { id, pid } = await started("--runtime", "runc", ...all());
  const { linux } = JSON.parse(readFileSync(join(engine.root, "containers", id, "config.json"), "utf8"));
  const [major, minor] = number.split(":").map(Number);
  expect(linux.resources.blockIO).toEqual({
    throttleReadBpsDevice: [{ major, minor, rate: MIB }],
    throttleWriteBpsDevice: [{ major, minor, rate: 2 * MIB }],
    throttleReadIOPSDevice: [{ major, minor, rate: 300 }],
    throttleWriteIOPSDevice: [{ major, minor, rate: 400 }],
  });
  expect(rates(pid)).toEqual(asked);
  await engine.ok(["rm", "-f", id]);
});
