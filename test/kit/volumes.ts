/** Images with volumes in them, and what tests of volumes ask. */
import { expect } from "bun:test";
import { readFileSync, realpathSync } from "node:fs";
import { archiveEnd, encodeEntry, type NewEntry } from "../../src/archive/tar-encode.ts";
import { parseMountinfo } from "../../src/sys/index.ts";
import type { CommandLine } from "./command.ts";
import type { Engine } from "./engine.ts";

const APPLETS = [
  "sh",
  "cat",
  "ls",
  "echo",
  "stat",
  "touch",
  "find",
  "wc",
  "id",
  "mount",
  "df",
  "dd",
  "rm",
  "ln",
  "sleep",
  "true",
  "mkdir",
];

/** Imports, into onggi or docker, an image of busybox and `entries`, with Dockerfile instructions. */
export async function volumeImage(
  client: Pick<CommandLine, "ok">,
  name: string,
  changes: readonly string[],
  entries: readonly (NewEntry & { readonly data?: string })[],
): Promise<void> {
  const parts = [
    encodeEntry({ type: "dir", name: "bin" }),
    encodeEntry({ type: "file", name: "bin/busybox", mode: 0o755 }, readFileSync("/bin/busybox")),
    ...APPLETS.map((applet) => encodeEntry({ type: "symlink", name: `bin/${applet}`, link: "busybox" })),
    ...entries.map(({ data, ...entry }) => encodeEntry(entry, data === undefined ? undefined : Buffer.from(data))),
    archiveEnd(),
  ];
  const flags = changes.flatMap((change) => ["-c", change]);
  await client.ok(["import", ...flags, "-", name], { stdin: new Uint8Array(Buffer.concat(parts)) });
}

/** A directory /data with an owner, a mode, an attribute and a hard link that are not everybody's. */
export const DATA: readonly (NewEntry & { readonly data?: string })[] = [
  { type: "dir", name: "data", mode: 0o750, uid: 70, gid: 71 },
  { type: "file", name: "data/file", data: "from the image\n", mode: 0o640, uid: 70, gid: 71, mtime: 1_600_000_000 },
  { type: "link", name: "data/same", link: "data/file", mode: 0o640, uid: 70, gid: 71, mtime: 1_600_000_000 },
  { type: "symlink", name: "data/link", link: "file" },
  { type: "dir", name: "data/below", mode: 0o1777 },
  {
    ...{ type: "file", name: "data/below/program", data: "x", mode: 0o4755 },
    xattrs: [{ name: "user.colour", value: Buffer.from("celadon") }],
  },
  { type: "fifo", name: "data/below/fifo", mode: 0o600 },
];

/** Names of the volumes there are. */
export const volumesOf = async (engine: Engine): Promise<string[]> =>
  (await engine.ok(["volume", "ls", "-q"])).split("\n").filter(Boolean);

/** Removes containers, then volumes. */
export async function removeAll(engine: Engine): Promise<void> {
  const containers = (await engine.ok(["ps", "-aq"])).split("\n").filter(Boolean);
  if (containers.length > 0) await engine.ok(["rm", "-fv", ...containers]);
  const volumes = await volumesOf(engine);
  if (volumes.length > 0) await engine.ok(["volume", "rm", ...volumes]);
}

/** Where a volume's files are on the host. */
export const pathOfVolume = (engine: Engine, name: string): Promise<string> =>
  engine.ok(["volume", "inspect", "-f", "{{.Mountpoint}}", name]);

/** Mount points below the engine's volumes. */
export const mountedVolumes = (engine: Engine): string[] =>
  parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"))
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => path.startsWith(`${realpathSync(engine.root)}/volumes/`));

/** What a command that must fail says. */
export async function refusedBy(engine: Engine, args: readonly string[]): Promise<string> {
  const { code, stderr } = await engine.onggi(args);
  expect(code).not.toBe(0);
  return stderr;
}
