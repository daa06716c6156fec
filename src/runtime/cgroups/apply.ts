/** The writes that limits come to, made in the files of a group. Runs in the engine, in the host's namespaces; see `files.ts`. */
import { existsSync, readFileSync } from "node:fs";
import { OnggiError } from "../../lib/errors.ts";
import { close, isErrno, O, open, SysError, write } from "../../sys/index.ts";
import type { LimitWrite } from "./limits.ts";
import { type Held, heldBefore } from "./undo.ts";

/**
 * Makes the writes in order, each in the directory `directoryOf` gives for its controller.
 * Throws `cgroup_limit_refused` (the kernel said no), `cgroup_limit_unsupported` (it has no such file) or
 * `cgroup_not_found` (the group is gone); the writes before it stand, and `held` has what they overwrote.
 */
export function apply(writes: readonly LimitWrite[], directoryOf: (controller: string) => string, held?: Held[]): void {
  const file = new OneFile(held);
  const attempt = (write: LimitWrite, mayRetry: boolean): boolean => {
    const directory = directoryOf(write.controller);
    try {
      applyOne(file, write, directory);
      if (write.readBack) checkEffect(write, directory);
      return true;
    } catch (error) {
      if (mayRetry && write.retry && isErrno(error, "EINVAL")) return false;
      throw describe(write, directory, error);
    }
  };
  try {
    const again = writes.filter((write) => !attempt(write, true));
    for (const write of again) attempt(write, false);
  } finally {
    file.close();
  }
}

/** Keeps the file open that was written last: a list of devices is many writes to one file. */
class OneFile {
  readonly #held: Held[] | undefined;
  #path = "";
  #fd = -1;

  constructor(held?: Held[]) {
    this.#held = held;
  }

  write(path: string, value: string): void {
    const before = this.#held ? heldBefore(path, value) : [];
    if (path !== this.#path) {
      this.close();
      this.#fd = open(path, O.O_WRONLY);
      this.#path = path;
    }
    write(this.#fd, encoder.encode(value));
    this.#held?.push(...before);
  }

  close(): void {
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = -1;
    this.#path = "";
  }
}

const encoder = new TextEncoder();

function applyOne(target: OneFile, { file, value, optional, otherwise }: LimitWrite, directory: string): void {
  try {
    target.write(`${directory}/${file}`, value);
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    if (optional) return;
    if (!otherwise) throw error;
    target.write(`${directory}/${otherwise.file}`, otherwise.value);
  }
}

/** Throws `cgroup_limit_unsupported`. */
function checkEffect({ limit, file, value }: LimitWrite, directory: string): void {
  const path = `${directory}/${file}`;
  const now = readFileSync(path, "utf8").trim();
  if (BigInt(value) < 0n || BigInt(now) <= BigInt(value)) return;
  throw new OnggiError(
    "cgroup_limit_unsupported",
    `limit ${limit} = ${JSON.stringify(value)}: this kernel takes it, but without effect: ${path} is ${now}`,
  );
}

/** What the kernel means by it. */
const hints: readonly [file: RegExp, code: Parameters<typeof isErrno>[1], hint: string][] = [
  [/^memory\./, "EBUSY", " (more is in use than that and cannot be reclaimed)"],
  [/^(blkio|io)\./, "ENODEV", " (there is no such disk; of a partition name the disk)"],
  [/\brt_runtime/, "EINVAL", " (the group above has not so much left for realtime processes)"],
  [/\bweight/, "EOPNOTSUPP", " (weights need a scheduler of the disk that has them, such as bfq)"],
];

function describe(write: LimitWrite, directory: string, error: unknown): unknown {
  if (!(error instanceof SysError)) return error;
  const file = `${directory}/${write.file}`;
  const what = `limit ${write.limit} = ${JSON.stringify(write.value)}`;
  if (isErrno(error, "ENODEV") && !existsSync(file)) {
    return new OnggiError("cgroup_not_found", `${what}: the cgroup ${directory} is gone`, { cause: error });
  }
  if (isErrno(error, "ENOENT")) {
    const files = write.otherwise ? `${file} and no ${write.otherwise.file}` : file;
    return new OnggiError("cgroup_limit_unsupported", `${what}: this kernel has no ${files}`, { cause: error });
  }
  const hint = hints.find(([file, code]) => file.test(write.file) && isErrno(error, code))?.[2] ?? "";
  return new OnggiError("cgroup_limit_refused", `${what}: the kernel refused it with ${error.code}${hint} in ${file}`, {
    cause: error,
  });
}
