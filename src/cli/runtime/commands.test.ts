import { describe, expect, test } from "bun:test";
import { messageIn, runtimeCommand } from "../../../test/runtime-cli-harness.ts";

/** What a command line makes the runtime do, and how it ends. */
const asked = async (argv: string[], world = {}) => {
  const { calls, status, stdout, stderr } = await runtimeCommand(argv, world);
  expect([stdout, stderr]).toEqual(["", ""]);
  return { status, calls };
};

const one = (status: number, ...call: [string, ...unknown[]]) => ({ status, calls: [call] });

describe("create and run", () => {
  test("make a container of the current directory", async () => {
    expect(await asked(["create", "x"])).toEqual(one(0, "create", { id: "x", bundle: "/jars" }));
    expect(await asked(["run", "x"])).toEqual(one(7, "run", { id: "x", bundle: "/jars" }));
  });

  const everything = [
    ["--bundle", "b/../c"],
    ["--console-socket=./tty"],
    ["--pidfd-socket", "/run//pidfd"],
    ["-pid-file", "../pid"],
    ["--no-pivot"],
    ["--no-new-keyring=true"],
    ["--preserve-fds", "2"],
  ].flat();
  const options = {
    id: "x",
    bundle: "/jars/c",
    consoleSocket: "/jars/tty",
    pidfdSocket: "/run/pidfd",
    pidFile: "/pid",
    noPivot: true,
    noNewKeyring: true,
    preserveFds: 2,
  };

  test("take every flag, before the id or after", async () => {
    expect(await asked(["create", ...everything, "x"])).toEqual(one(0, "create", options));
    expect(await asked(["create", "x", ...everything])).toEqual(one(0, "create", options));
    expect(await asked(["run", "-d", "--keep", "--no-subreaper", ...everything, "x"])).toEqual(
      one(7, "run", { ...options, detach: true, keep: true, noSubreaper: true }),
    );
  });

  test.each([
    [{ LISTEN_FDS: "2", LISTEN_PID: String(process.pid) }, [], { preserveFds: 2, listenFds: 2 }],
    [{ LISTEN_FDS: "2", LISTEN_PID: String(process.pid) }, ["--preserve-fds=3"], { preserveFds: 5, listenFds: 2 }],
    [{ LISTEN_FDS: "2", LISTEN_PID: String(process.ppid) }, [], { preserveFds: 2, listenFds: 2 }],
    [{ LISTEN_FDS: "2", LISTEN_PID: "4194305" }, ["--preserve-fds=3"], { preserveFds: 3 }],
    [{ LISTEN_FDS: "x", LISTEN_PID: String(process.pid) }, ["--preserve-fds=-3"], {}],
    [{ LISTEN_FDS: "2" }, [], {}],
  ] as [Record<string, string>, string[], object][])("pass on systemd's sockets: %j %j", async (env, flags, fds) => {
    expect(await asked(["create", ...flags, "x"], { env })).toEqual(one(0, "create", { id: "x", bundle: "/jars", ...fds }));
  });
});

describe("commands on a container", () => {
  test.each([
    [
      ["start", "x"],
      ["start", "x"],
    ],
    [
      ["pause", "x"],
      ["pause", "x"],
    ],
    [
      ["resume", "x"],
      ["resume", "x"],
    ],
    [
      ["delete", "x"],
      ["delete", "x", false],
    ],
    [
      ["delete", "-f", "x"],
      ["delete", "x", true],
    ],
    [
      ["delete", "x", "--force"],
      ["delete", "x", true],
    ],
    [
      ["kill", "x"],
      ["kill", "x", 15, false],
    ],
    [
      ["kill", "x", ""],
      ["kill", "x", 15, false],
    ],
    [
      ["kill", "x", "9"],
      ["kill", "x", 9, false],
    ],
    [
      ["kill", "x", "0"],
      ["kill", "x", 0, false],
    ],
    [
      ["kill", "x", "KILL"],
      ["kill", "x", 9, false],
    ],
    [
      ["kill", "x", "sigusr1"],
      ["kill", "x", 10, false],
    ],
    [
      ["kill", "-a", "x", "SIGHUP"],
      ["kill", "x", 1, true],
    ],
    [
      ["kill", "x", "64", "--all"],
      ["kill", "x", 64, true],
    ],
  ] as [string[], [string, ...unknown[]]][])("%j", async (argv, call) => {
    expect(await asked(argv)).toEqual(one(0, ...call));
  });

  test.each([
    [["kill", "x", "BOGUS"], String.raw`unknown signal \"BOGUS\"`],
    [["kill", "x", "constructor"], String.raw`unknown signal \"constructor\"`],
    [["kill", "x", "65"], "invalid signal 65: invalid argument"],
    [["kill", "x", "-9"], "invalid signal -9: invalid argument"],
    [["start", ""], "container id cannot be empty"],
    [["create", ""], "onggi-runtime create failed: container id cannot be empty"],
  ])("refused: %j", async (argv, message) => {
    const { status, stderr, calls } = await runtimeCommand(argv);
    expect([status, messageIn(stderr), calls]).toEqual([1, message, []]);
  });
});

describe("checkpoint and restore", () => {
  const criu = [
    ["--image-path", "images"],
    ["--work-path", "/w"],
    ["--tcp-established", "--ext-unix-sk", "--shell-job", "--lazy-pages", "--file-locks", "--auto-dedup"],
    ["--manage-cgroups-mode", "full", "--empty-ns", "network"],
  ].flat();
  const options = {
    id: "x",
    imagePath: "/jars/images",
    workPath: "/w",
    tcpEstablished: true,
    externalUnixSockets: true,
    shellJob: true,
    lazyPages: true,
    fileLocks: true,
    cgroupsMode: "full",
    autoDedup: true,
  };

  test("take every flag", async () => {
    const more = ["--parent-path", "../pre", "--leave-running", "--tcp-skip-in-flight", "--link-remap", "--pre-dump"];
    const last = ["--status-fd", "4", "--page-server", "[::1]:27"];
    expect(await asked(["checkpoint", ...criu, ...more, ...last, "x"])).toEqual(
      one(0, "checkpoint", {
        ...options,
        parentPath: "../pre",
        leaveRunning: true,
        tcpSkipInFlight: true,
        linkRemap: true,
        statusFd: 4,
        pageServer: { address: "::1", port: 27 },
        preDump: true,
      }),
    );
    const bundle = ["-b", "/b", "--console-socket", "/s", "--pid-file", "/p", "--no-pivot", "-d", "--no-subreaper"];
    const labels = ["--lsm-profile", "apparmor:x", "--lsm-mount-context", "c"];
    expect(await asked(["restore", ...criu, ...bundle, ...labels, "x"])).toEqual(
      one(5, "restore", {
        ...options,
        bundle: "/b",
        consoleSocket: "/s",
        pidFile: "/p",
        noPivot: true,
        detach: true,
        noSubreaper: true,
        lsmProfile: "apparmor:x",
        lsmMountContext: "c",
      }),
    );
  });

  test("have runc's defaults", async () => {
    expect(await asked(["checkpoint", "x"])).toEqual(one(0, "checkpoint", { id: "x", imagePath: "/jars/checkpoint" }));
    expect(await asked(["restore", "x"])).toEqual(one(5, "restore", { id: "x", imagePath: "/jars/checkpoint", bundle: "/jars" }));
  });

  test.each([
    [["checkpoint", "--parent-path", "/x", "x"], "--parent-path must be relative"],
    [["checkpoint", "--page-server", "host", "x"], "Use --page-server ADDRESS:PORT to specify page server"],
    [["checkpoint", "--page-server", "a:b:1", "x"], "Use --page-server ADDRESS:PORT to specify page server"],
    [["checkpoint", "--page-server", "host:99999", "x"], "Invalid port number"],
    [["checkpoint", "--empty-ns", "pid", "x"], String.raw`namespace \"pid\" is not supported`],
    [["restore", "--manage-cgroups-mode", "wild", "x"], "Invalid manage-cgroups-mode value"],
  ])("refused: %j", async (argv, message) => {
    const { status, stderr, calls } = await runtimeCommand(argv);
    expect([status, messageIn(stderr), calls]).toEqual([1, message, []]);
  });
});
