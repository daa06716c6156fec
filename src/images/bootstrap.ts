/** Images made out of what the machine has, for a machine without a registry: busybox, and Debian by mmdebstrap. */
import * as fs from "node:fs";
import { basename } from "node:path";
import { byteStringOf } from "../archive/bytes.ts";
import { archiveEnd, encodeEntry, type NewEntry } from "../archive/tar-encode.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { Image, ImageStore, Progress } from "./types.ts";

export interface BootstrapOptions {
  /** Name of the image; "busybox:latest" or "debian:SUITE" unless told. */
  readonly name?: string;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
  /** The static busybox to take; the first there is of the usual places unless told. */
  readonly busybox?: string;
}

const PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_SUITE = "stable";

/**
 * Makes the image `what`: "busybox", "debian" or "debian:SUITE".
 * Throws "bootstrap_unknown", "bootstrap_tool_missing", "bootstrap_failed" and what importRootfs throws.
 */
export const bootstrap = async (store: ImageStore, what: string, options: BootstrapOptions = {}): Promise<Image> => {
  const [kind, suite] = what.split(":", 2);
  if (kind === "busybox" && suite === undefined) return busybox(store, options);
  if (kind === "debian" && suite !== "") return debian(store, suite ?? DEFAULT_SUITE, options);
  throw new OnggiError("bootstrap_unknown", `"${what}" cannot be bootstrapped; there are: busybox, debian, debian:SUITE`);
};

const passThrough = (options: BootstrapOptions) => ({
  ...(options.signal ? { signal: options.signal } : {}),
  ...(options.progress ? { progress: options.progress } : {}),
});

// busybox

const places = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];

/** An ELF file without an interpreter needs no shared library, and so runs in an otherwise empty root. */
const isStatic = (file: Buffer): boolean => {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2) return false;
  const headers = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  for (let i = 0; i < file.readUInt16LE(56); i++) if (file.readUInt32LE(headers + i * size) === 3) return false;
  return true;
};

const findBusybox = (chosen: string | undefined): { path: string; file: Buffer } => {
  for (const path of chosen === undefined ? places : [chosen]) {
    if (!fs.existsSync(path)) continue;
    const file = fs.readFileSync(path);
    if (isStatic(file)) return { path, file };
  }
  throw new OnggiError(
    "bootstrap_tool_missing",
    `no static busybox at ${(chosen === undefined ? places : [chosen]).join(", ")}; on Debian: apt-get install busybox-static`,
  );
};

const busyboxFiles: Record<string, string> = {
  "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
  "etc/group": "root:x:0:\nnogroup:x:65534:\n",
  "etc/shadow": "root:*:::::::\nnobody:*:::::::\n",
  "etc/hostname": "",
  "etc/hosts": "",
  "etc/resolv.conf": "",
};

const busyboxDirectories: readonly (readonly [name: string, mode: number])[] = [
  ["", 0o755],
  ["bin", 0o755],
  ["dev", 0o755],
  ["etc", 0o755],
  ["home", 0o755],
  ["proc", 0o555],
  ["root", 0o700],
  ["run", 0o755],
  ["sbin", 0o755],
  ["sys", 0o555],
  ["tmp", 0o1777],
  ["usr", 0o755],
  ["usr/bin", 0o755],
  ["usr/sbin", 0o755],
  ["var", 0o755],
  ["var/tmp", 0o1777],
];

const busybox = async (store: ImageStore, options: BootstrapOptions): Promise<Image> => {
  const { path, file } = findBusybox(options.busybox);
  const listed = Bun.spawnSync([path, "--list-full"]);
  if (!listed.success) throw new OnggiError("bootstrap_failed", `${path} --list-full ended with status ${listed.exitCode}`);
  // The same busybox gives the same layer: all times are the file's own.
  const mtime = Math.floor(fs.statSync(path).mtimeMs / 1000);
  const parts: Buffer[] = [];
  const add = (entry: NewEntry, data?: Uint8Array): void => void parts.push(encodeEntry({ mtime, ...entry }, data));
  const directories = new Set(busyboxDirectories.map(([name]) => name));
  for (const [name, mode] of busyboxDirectories) add({ type: "dir", name, mode });
  add({ type: "file", name: "bin/busybox", mode: 0o755 }, file);
  for (const applet of new Set(listed.stdout.toString().split("\n"))) {
    const name = byteStringOf(applet);
    const folder = name.slice(0, name.lastIndexOf("/"));
    if (name === "" || name === "bin/busybox") continue;
    add({ type: "link", name: directories.has(folder) ? name : `bin/${basename(name)}`, link: "bin/busybox", mode: 0o755 });
  }
  for (const [name, text] of Object.entries(busyboxFiles)) {
    add({ type: "file", name, mode: name === "etc/shadow" ? 0o600 : 0o644 }, Buffer.from(text));
  }
  parts.push(archiveEnd());
  return store.importRootfs(new Response(Buffer.concat(parts)).body!, {
    name: options.name ?? "busybox:latest",
    message: `busybox of this machine (${path})`,
    config: { Cmd: ["sh"], Env: [PATH] },
    ...passThrough(options),
  });
};

// Debian

/** The machine's package sources that serve a suite: mmdebstrap takes them as they are. Empty: it knows a mirror itself. */
const sourcesFor = (suite: string): string[] => {
  const candidates = ["/etc/apt/sources.list"];
  const folder = "/etc/apt/sources.list.d";
  if (fs.existsSync(folder))
    for (const name of fs.readdirSync(folder).sort()) if (/\.(list|sources)$/.test(name)) candidates.push(`${folder}/${name}`);
  const serves = (text: string): boolean => {
    const live = text.replace(/^\s*#.*$/gm, "");
    const word = suite.replace(/[^a-z0-9-]/g, "");
    return /debian/.test(live) && new RegExp(`(?:^Suites:.*|^deb\\s.*)\\b${word}(?:\\s|$)`, "m").test(live);
  };
  return candidates.filter((path) => fs.existsSync(path) && serves(fs.readFileSync(path, "utf8")));
};

const LAST_LINES = 12;

const debian = async (store: ImageStore, suite: string, options: BootstrapOptions): Promise<Image> => {
  if (!/^[a-z][a-z0-9-]{0,40}$/.test(suite))
    throw new OnggiError("bootstrap_unknown", `"${suite}" is not the name of a Debian suite`);
  if (!Bun.which("mmdebstrap")) {
    throw new OnggiError(
      "bootstrap_tool_missing",
      "debian needs mmdebstrap, which is not installed; on Debian: apt-get install mmdebstrap",
    );
  }
  const command = ["mmdebstrap", "--variant=minbase", "--format=tar", suite, "-", ...sourcesFor(suite)];
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    ...(options.signal ? { signal: options.signal } : {}),
  });
  const last: string[] = [];
  const watching = (async () => {
    let rest = "";
    for await (const text of child.stderr.pipeThrough(
      new TextDecoderStream() as unknown as TransformStream<Uint8Array, string>,
    )) {
      const lines = (rest + text).split(/[\r\n]+/);
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.trim() === "") continue;
        last.push(line);
        if (last.length > LAST_LINES) last.shift();
        options.progress?.({ id: "mmdebstrap", current: 0, message: line });
      }
    }
  })();
  const failure = async (): Promise<OnggiError | null> => {
    await watching;
    const status = await child.exited;
    if (status === 0) return null;
    return new OnggiError("bootstrap_failed", `"${command.join(" ")}" ended with status ${status}:\n${last.join("\n")}`);
  };
  // The end of the output only counts as the end of the tar when mmdebstrap says it succeeded.
  const checked = new TransformStream<Uint8Array, Uint8Array>({
    async flush() {
      const failed = await failure();
      if (failed) throw failed;
    },
  });
  try {
    return await store.importRootfs(child.stdout.pipeThrough(checked), {
      name: options.name ?? `debian:${suite}`,
      message: `mmdebstrap --variant=minbase ${suite}`,
      config: { Cmd: ["bash"], Env: [PATH] },
      ...passThrough(options),
    });
  } catch (error) {
    child.kill();
    options.signal?.throwIfAborted();
    const failed = await failure();
    if (failed && !(error instanceof OnggiError && error.code !== "layer_invalid")) throw failed;
    throw error instanceof OnggiError ? error : new OnggiError("bootstrap_failed", messageOf(error), { cause: error });
  }
};
