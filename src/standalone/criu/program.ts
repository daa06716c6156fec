/** The program criu(8): where it is, what it can do, and running it for one request that makes no process of ours. */
import { accessSync, constants, statSync } from "node:fs";
import { OnggiError } from "../../lib/errors.ts";
import { SOCK } from "../../sys/constants.ts";
import { close, memfd } from "../../sys/file.ts";
import { lseek, readAll } from "../../sys/io.ts";
import { socketpair } from "../../sys/socket.ts";
import { CriuGone, converse, type Notified } from "./conversation.ts";
import { type CriuFeatures, type CriuResponse, encodeFeatureRequest, encodeVersionRequest } from "./rpc.ts";

/** 3.16: external namespaces of both kinds, security labels at restore, a notification when lazy pages are served. */
const OLDEST = 31_600;

/** The path of criu in $PATH. Throws OnggiError `criu_missing`. */
export function findCriu(path: string = process.env.PATH ?? ""): string {
  for (const directory of path.split(":")) {
    const file = `${directory || "."}/criu`;
    try {
      accessSync(file, constants.X_OK);
      if (statSync(file).isFile()) return file;
    } catch {} // not there
  }
  throw new OnggiError(
    "criu_missing",
    `exec: "criu": executable file not found in $PATH; containers are checkpointed and restored by CRIU ${versionText(OLDEST)} or newer`,
  );
}

const versionText = (version: number): string => `${Math.floor(version / 10_000)}.${Math.floor(version / 100) % 100}`;

/** Throws OnggiError `criu_missing` for a criu that is too old. */
export async function checkVersion(criu: string): Promise<void> {
  const { version } = await ask(criu, encodeVersionRequest());
  if (version >= OLDEST) return;
  throw new OnggiError("criu_missing", `${criu} is CRIU ${versionText(version)}; ${versionText(OLDEST)} or newer is needed`);
}

/** Throws OnggiError `criu_unsupported` that names what criu or this kernel cannot do. */
export async function checkFeatures(criu: string, wanted: CriuFeatures): Promise<void> {
  const { features } = await ask(criu, encodeFeatureRequest(wanted));
  const missing = [
    ...(wanted.memoryTracking && !features.memoryTracking ? ["MemTrack (CONFIG_MEM_SOFT_DIRTY)"] : []),
    ...(wanted.lazyPages && !features.lazyPages ? ["LazyPages (userfaultfd)"] : []),
  ];
  if (missing.length > 0) {
    throw new OnggiError("criu_unsupported", `criu is missing features on this kernel: ${missing.join(", ")}`);
  }
}

/**
 * Starts criu, has one conversation with it, and waits for its end. Throws like `converse`, and says what criu has said to
 * standard error where it had no time for a log.
 */
export async function ask(criu: string, bytes: Uint8Array, notified?: Notified): Promise<CriuResponse> {
  const [ours, theirs] = socketpair(SOCK.SOCK_SEQPACKET);
  const complaints = memfd("criu-stderr");
  try {
    const child = start(criu, theirs, complaints);
    let response: CriuResponse;
    try {
      response = converse(ours, bytes, notified);
    } finally {
      close(ours);
      await child.exited;
    }
    return response;
  } catch (error) {
    if (!(error instanceof CriuGone)) throw error;
    lseek(complaints, 0, 0);
    const said = new TextDecoder().decode(readAll(complaints)).trim();
    throw said === "" ? error : new OnggiError("criu_failed", `${error.message}: ${said}`, { cause: error });
  } finally {
    close(complaints);
  }
}

/** Nobody but criu has its end of the socket, so that its end is seen. */
function start(criu: string, socket: number, complaints: number): Bun.Subprocess {
  try {
    return Bun.spawn({ cmd: [criu, "swrk", "3"], stdio: ["ignore", "ignore", complaints, socket], env: criuEnvironment() });
  } finally {
    close(socket);
  }
}

/** The caller's: criu runs tar(1), ip(8) and iptables(8), which it finds by $PATH. */
export const criuEnvironment = (): Record<string, string> =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("BUN_"),
    ),
  );
