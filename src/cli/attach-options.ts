import type { AttachStreams } from "../api/control/protocol.ts";
import type { ContainerRequest } from "../api/control/types.ts";
import { UsageError } from "./errors.ts";

/** Which streams `-i`, `-a` and `-d` ask for. Throws UsageError for a stream nobody knows. */
export function attachOptions(given: { interactive?: boolean; attach?: string[] }, detach: boolean): AttachStreams {
  if (detach) return { stdin: false, stdout: false, stderr: false };
  if (!given.attach) return { stdin: given.interactive ?? false, stdout: true, stderr: true };
  const streams: AttachStreams = { stdin: false, stdout: false, stderr: false };
  for (const name of given.attach) {
    const stream = name.toLowerCase();
    if (stream !== "stdin" && stream !== "stdout" && stream !== "stderr") {
      throw new UsageError(`-a "${name}" is not one of stdin, stdout, stderr`);
    }
    streams[stream] = true;
  }
  return streams;
}

export const streamsOf = (attach: AttachStreams) => (["stdin", "stdout", "stderr"] as const).filter((name) => attach[name]);

/** Input ends with its client, as for docker: only a container that is attached to has one. */
export const inputOf = ({ openStdin }: ContainerRequest, { stdin }: AttachStreams): Pick<ContainerRequest, "stdinOnce"> =>
  openStdin && stdin ? { stdinOnce: true } : {};

/** Refuses a --cidfile that exists, for it names another container, and one that cannot be made. */
export async function checkCidFile(path: string | undefined): Promise<void> {
  if (!path) return;
  const [{ existsSync }, { dirname }] = await Promise.all([import("node:fs"), import("node:path")]);
  if (existsSync(path)) {
    throw new UsageError(`--cidfile ${path} exists: is its container still there? remove the file or choose another`);
  }
  if (!existsSync(dirname(path))) throw new UsageError(`--cidfile ${path}: there is no directory ${dirname(path)}`);
}

export async function writeCidFile(path: string | undefined, id: string): Promise<void> {
  if (path) await Bun.write(path, id);
}
