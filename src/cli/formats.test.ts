import { afterAll, beforeAll, expect, test } from "bun:test";
import { ControlHarness } from "../../test/control-harness.ts";

const harness = new ControlHarness();
beforeAll(async () => {
  await harness.start();
  harness.handlers.list = async () => ({
    containers: [
      {
        id: "0123456789abcdef".repeat(4),
        names: ["web"],
        image: "busybox",
        imageId: "sha256:1",
        command: "sh",
        created: 0,
        state: "running",
        status: "Up",
        labels: {},
        ports: [],
        networks: [],
        mounts: [],
      },
    ],
  });
  harness.handlers.volumes = async () => ({ volumes: [{ name: "clay", driver: "local", labels: {}, containers: [] }] }) as never;
  harness.handlers.diskUsage = async () => ({
    images: [{ id: `sha256:${"ab".repeat(32)}`, names: ["a:1"], created: 0, size: 5000, shared: 0, unique: 5000, containers: 1 }],
    layersSize: 5000,
    layersUnused: 0,
    containers: [
      { id: "cd".repeat(32), name: "web", image: "a:1", state: "running" as const, command: "sh", created: 0, size: 7 },
    ],
    volumes: [{ name: "clay", anonymous: false, containers: 0, size: null }],
  });
});
afterAll(() => harness.stop());

test.each<[argv: string[], stdout: string, stderr: string]>([
  [["volume", "ls", "-q"], "clay\n", ""],
  [["volume", "ls", "-q", "--format", "table"], "clay\n", ""],
  [["volume", "ls", "-q", "--format", "{{.Driver}}"], "local\n", ""],
  [
    ["ps", "-q", "--format", "{{.Names}}"],
    "0123456789ab\n",
    "WARNING: Ignoring custom format, because both --format and --quiet are set.\n",
  ],
])("--quiet and --format, as with Docker: %j", async (argv, stdout, stderr) =>
  expect(await harness.command(argv)).toEqual({ exitCode: 0, stdout, stderr }),
);

test("system df -v has a table for each kind, and one object of all of them for a format", async () => {
  const titles = (await harness.command(["system", "df", "-v"])).stdout.split("\n").filter((line) => line.endsWith("usage:"));
  expect(titles).toEqual(["Images space usage:", "Containers space usage:", "Local Volumes space usage:"]);
  for (const format of ["json", "{{json .}}"]) {
    const { stdout } = await harness.command(["system", "df", "-v", "--format", format]);
    expect(JSON.parse(stdout)).toMatchObject({
      Images: [{ ID: "abababababab", SharedSize: "0B", UniqueSize: "5kB", Containers: "1" }],
      Containers: [{ Names: "web", State: "running", Size: "7B" }],
      Volumes: [{ Name: "clay", Links: "0", Size: "N/A" }],
      BuildCache: [],
    });
  }
  const names = "{{range .Volumes}}{{.Name}}{{end}}";
  expect((await harness.command(["system", "df", "-v", "--format", names])).stdout).toBe("clay\n");
});

test.each<[format: string, says: string]>([
  ["{{.Nope}}", "can't evaluate field Nope at <.Nope>; there are ID, Names, Image"],
  ["{{nope}}", 'function "nope" not defined; known are json, join'],
  ["{{.ID", "unclosed action {{.ID"],
  ["{{.ID.X}}", "can't evaluate field X in a string at <.ID.X>"],
  ["table {{.Nope}}", "can't evaluate field Nope"],
])("a wrong template names what is wrong, and what there is: %s", async (format, says) => {
  const { exitCode, stdout, stderr } = await harness.command(["ps", "--format", format]);
  expect([exitCode, stdout]).toEqual([1, ""]);
  expect(stderr).toContain(says);
});
