import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { ControlHarness } from "../../test/control-harness.ts";

/** The real program's streams, as shells set them up. */

const harness = new ControlHarness();
beforeAll(() => harness.start());
afterAll(() => harness.stop());
beforeEach(() => {
  const volumes = Array.from({ length: 5000 }, (_, at) => ({
    name: `jar-${at}`,
    driver: "local",
    mountpoint: "/jars",
    labels: {},
    options: {},
    containers: [],
    created: "2024-05-01T10:00:00Z",
  }));
  harness.handlers = { volumes: async () => ({ volumes }) as never };
});

const shell = async (line: string): Promise<{ code: number; stdout: string; stderr: string }> => {
  const script = `onggi() { ${harness.program} "$@"; }; ${line}`;
  const child = Bun.spawn(["bash", "-c", script], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
};

const full = "onggi: cannot write standard output: ENOSPC: no space left on device, write\n";

test.each(["volume ls", "volume ls -q", "--help", "help run", "network help", "completion bash", "--version"])(
  "%s to where nothing can be written fails and says why",
  async (command) => expect(await shell(`onggi ${command} > /dev/full`)).toEqual({ code: 1, stdout: "", stderr: full }),
);

test("errors that cannot be written change no exit code", async () => {
  expect((await shell("onggi nosuch 2> /dev/full")).code).toBe(1);
  expect((await shell("onggi --nosuch 2> /dev/full")).code).toBe(125);
});

test.each([
  ["volume ls", "DRIVER    VOLUME NAME"],
  ["volume ls -q", "jar-0"],
])("%s into a pipe that reads one line ends silently", async (command, first) =>
  expect(await shell(`onggi ${command} | head -1; exit \${PIPESTATUS[0]}`)).toEqual({
    code: 141,
    stdout: `${first}\n`,
    stderr: "",
  }),
);

test("closed streams are no streams", async () => {
  expect(await shell("onggi volume ls -q <&- | tail -1")).toEqual({ code: 0, stdout: "jar-4999\n", stderr: "" });
  expect(await shell("onggi volume ls -q <&- >&-")).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await shell("onggi nosuch <&- >&- 2>&-")).toEqual({ code: 1, stdout: "", stderr: "" });
});
