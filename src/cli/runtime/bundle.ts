/** What create, run and restore have in common: they make a container of a bundle. */
import type { CreateOptions } from "../../standalone/types.ts";
import { absolute, type Call, containerOf, defined, type RuntimePorts } from "./command.ts";
import type { Flags } from "./parse.ts";

export const bundleFlags = {
  bundle: { kind: "string", short: "b", help: "the bundle's directory, by default the current one" },
  "console-socket": { kind: "string", help: "unix socket that is sent the terminal's master" },
  "pid-file": { kind: "string", help: "file that the first process's pid is written to" },
  "no-pivot": { kind: "bool", help: "do not use pivot_root; for a root file system on a ramdisk" },
} as const satisfies Flags;

export const createFlags = {
  ...bundleFlags,
  "pidfd-socket": { kind: "string", help: "unix socket that is sent a pidfd of the first process" },
  "no-new-keyring": { kind: "bool", help: "keep the caller's session keyring instead of making one" },
  "preserve-fds": { kind: "int", help: "pass on this many descriptors after stdio and those of $LISTEN_FDS" },
} as const satisfies Flags;

type Given = Call<typeof createFlags> | Call<typeof bundleFlags>;

/** The options that follow from those flags. Paths are read from where the caller stands. */
export function createOptionsOf(call: Given): CreateOptions {
  const { ports } = call;
  const values: Call<typeof createFlags>["values"] = call.values;
  const path = (given: string | undefined) => absolute(ports.cwd, given);
  const listenFds = listenFdsOf(ports);
  const preserveFds = listenFds + Math.max(0, values["preserve-fds"] ?? 0);
  return {
    id: containerOf(call),
    bundle: path(values.bundle) ?? ports.cwd,
    ...defined({
      consoleSocket: path(values["console-socket"]),
      pidfdSocket: path(values["pidfd-socket"]),
      pidFile: path(values["pid-file"]),
      noPivot: values["no-pivot"],
      noNewKeyring: values["no-new-keyring"],
      preserveFds: preserveFds || undefined,
      listenFds: listenFds || undefined,
    }),
  };
}

/**
 * How many sockets systemd has passed on, sd_listen_fds(3). They are passed to the process that the caller has started, which
 * started this one, or is this one.
 */
function listenFdsOf({ env }: RuntimePorts): number {
  const { LISTEN_FDS: count, LISTEN_PID: receiver } = env;
  if (!count || (receiver !== String(process.ppid) && receiver !== String(process.pid))) return 0;
  return /^\d{1,6}$/.test(count) ? Number(count) : 0;
}
