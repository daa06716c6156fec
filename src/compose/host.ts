import type { Caller } from "../api/control/client.ts";

/** One thing of a project, on its way: "Container demo-web-1", "Network demo_default". */
export interface Step {
  readonly id: string;
  /** "Creating", "Started", or what went wrong. */
  readonly text: string;
  readonly status: "working" | "done" | "warning" | "error";
  /** How far it is, as in "[####  ] 3MB/5MB"; changes often. */
  readonly detail?: string;
}

/** What the work on a project needs of whoever asks for it. */
export interface Host {
  readonly call: Caller;
  tell(step: Step): void;
  warn(message: string): void;
  /** Brings an image from a registry. */
  pull(image: string, options: { platform?: string | undefined; quiet?: boolean | undefined }): Promise<void>;
  /** A small file of the caller's. */
  readFile(path: string): Promise<string>;
  /** Nothing is done: what would be made is not there. */
  readonly isDryRun?: boolean;
  /** Aborted: nothing more is begun. */
  readonly signal: AbortSignal;
}

/** Does something to a thing and tells of it: while it is done, when it is done, and what went wrong. */
export async function told<T>(
  host: Host,
  id: string,
  [doing, done]: readonly [string, string],
  work: () => Promise<T>,
): Promise<T> {
  host.signal.throwIfAborted();
  host.tell({ id, text: doing, status: "working" });
  try {
    const result = await work();
    host.tell({ id, text: done, status: "done" });
    return result;
  } catch (error) {
    if (!host.signal.aborted) host.tell({ id, text: "Error", status: "error" });
    throw error;
  }
}

export const codeOf = (error: unknown): unknown => (error as { code?: unknown } | null)?.code;
