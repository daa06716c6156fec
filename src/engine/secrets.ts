/**
 * Secrets: files that a container reads and that are no part of its root file system.
 *
 * Their contents are kept in the container's state directory, for root alone, so that they outlive its end, the engine's and the
 * machine's; nowhere else, neither in the record nor in the log. Each start puts them into a tmpfs that is never swapped, and shows
 * them by read-only mounts: the directory /run/secrets, and files with a place of their own.
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { cleanPath } from "../runtime/paths.ts";
import { close, isErrno, mountFs, O, open } from "../sys/index.ts";
import type { OpenSources } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { containerPaths } from "./layout.ts";
import type { ForeignRuntime } from "./runtimes.ts";
import type { ContainerRequest, MountRequest, SecretRequest } from "./types.ts";

const PLACE = "/run/secrets";
const NAME = /^[a-zA-Z0-9_][a-zA-Z0-9_.-]*$/;
/** Docker's bound, in bytes. */
const MOST = 500 * 1024;

const invalid = (name: string, why: string): OnggiError => new OnggiError("invalid_secret", `secret ${name}: ${why}`);

/** Where a secret is in the container, as an absolute path. */
const placeOf = ({ name, target = name }: SecretRequest): string =>
  cleanPath(target.startsWith("/") ? target : `${PLACE}/${target}`);

const isInDirectory = (secret: SecretRequest): boolean => placeOf(secret).startsWith(`${PLACE}/`);

/** Throws `invalid_secret`, `secret_unsupported`, `kernel_too_old` for what cannot be. */
export function checkSecrets(context: Context, { secrets = [] }: ContainerRequest, runtime: ForeignRuntime | null): void {
  if (secrets.length === 0) return;
  if (runtime)
    throw new OnggiError("secret_unsupported", `--secret: runtime ${runtime.name} cannot be given one; onggi's own can`);
  if (!context.facts.overlayFds)
    throw new OnggiError("kernel_too_old", "--secret needs Linux 6.15: mounts made of detached ones");
  const places = new Set<string>();
  for (const secret of secrets) {
    const { name, target = name, uid = 0, gid = 0, mode = 0o400, data } = secret;
    if (!NAME.test(name)) throw invalid(JSON.stringify(name), 'letters, digits, "_", "." and "-", not beginning with "." or "-"');
    if (target.split("/").includes("..") || target.endsWith("/") || target === "")
      throw invalid(name, `target ${JSON.stringify(target)}: a path of a file, without ".."`);
    for (const [what, id] of Object.entries({ uid, gid }))
      if (!Number.isInteger(id) || id < 0 || id > 0xffff_fffe) throw invalid(name, `${what} ${id} is no id`);
    if (!Number.isInteger(mode) || mode < 0 || mode > 0o777) throw invalid(name, `mode ${mode.toString(8)}: give 0 to 777`);
    if (places.has(placeOf(secret))) throw invalid(name, `there is another one at ${placeOf(secret)}`);
    places.add(placeOf(secret));
    if (data !== undefined && Buffer.byteLength(data, "base64") > MOST) throw invalid(name, `it has more than ${MOST} bytes`);
  }
}

/** What a record may know of them. */
export const withoutContents = ({ secrets, ...request }: ContainerRequest): ContainerRequest =>
  secrets ? { ...request, secrets: secrets.map(({ data: _, ...secret }) => secret) } : request;

const keptPath = (context: Context, id: string, at: number | "directory"): string =>
  join(containerPaths(context.layout, id).directory, "secrets", String(at));

/** Keeps them for a container whose directory has been made. Throws `invalid_secret` for one without contents. */
export function keepSecrets(context: Context, id: string, { secrets = [] }: ContainerRequest): void {
  if (secrets.length === 0) return;
  mkdirSync(dirname(keptPath(context, id, 0)), { mode: 0o700 });
  for (const [at, { name, data }] of secrets.entries()) {
    if (data === undefined) throw invalid(name, "what is in it?");
    writeFileSync(keptPath(context, id, at), Buffer.from(data, "base64"), { mode: 0o600 });
  }
}

/** A request with the contents that a container keeps. Throws `secrets_missing` where that has gone. */
export function withContentsOf(context: Context, request: ContainerRequest, container: string): ContainerRequest {
  const { secrets } = request;
  if (!secrets) return request;
  try {
    const read = (at: number): string => readFileSync(keptPath(context, container, at)).toString("base64");
    return { ...request, secrets: secrets.map((secret, at) => ({ ...secret, data: read(at) })) };
  } catch (error) {
    const names = secrets.map(({ name }) => name).join(", ");
    throw new OnggiError("secrets_missing", `secrets ${names} went with their container: ${messageOf(error)}`);
  }
}

/** Their mounts, for the specification. The sources stand for what `openSecrets` opens. */
export function secretMounts(context: Context, { id, request: { secrets = [] } }: ContainerRecord): MountRequest[] {
  const bind = (source: string, target: string): MountRequest => ({
    ...{ type: "bind", source, target, readonly: true, options: ["nosuid", "nodev", "noexec"] },
  });
  return [
    ...(secrets.some(isInDirectory) ? [bind(keptPath(context, id, "directory"), PLACE)] : []),
    ...secrets.flatMap((secret, at) => (isInDirectory(secret) ? [] : [bind(keptPath(context, id, at), placeOf(secret))])),
  ];
}

/** In memory that is not swapped (Linux 6.4). */
function newMemory(bytes: number): number {
  const options = { size: String(bytes + 2 ** 20), mode: "0755" };
  try {
    return mountFs("tmpfs", { options: { ...options, noswap: true } });
  } catch (error) {
    if (isErrno(error, "EINVAL")) return mountFs("tmpfs", { options });
    throw error;
  }
}

/** Puts them into memory, by the ids of the container. Empty ones for a container that is only explained. Throws `secrets_missing`. */
export function openSecrets(context: Context, { id, request }: ContainerRecord): OpenSources {
  const fds = new Map<string, number>();
  const files = new Set<string>();
  const mounts: number[] = [];
  const closeAll = (): void => {
    for (const fd of [...fds.values(), ...mounts]) close(fd);
  };
  if (!request.secrets) return { fds, files, mounts, close: closeAll };
  const isThere = existsSync(containerPaths(context.layout, id).directory);
  const { secrets = [] } = isThere ? withContentsOf(context, request, id) : request;
  const memory = newMemory(secrets.reduce((sum, { data = "" }) => sum + data.length, 0));
  mounts.push(memory);
  try {
    const top = `/proc/self/fd/${memory}`;
    for (const [at, secret] of secrets.entries()) {
      const { data = "", uid = 0, gid = 0, mode = 0o400 } = secret;
      const path = isInDirectory(secret) ? `${top}/directory/${placeOf(secret).slice(PLACE.length + 1)}` : `${top}/${at}`;
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      writeFileSync(path, Buffer.from(data, "base64"), { mode: 0o600, flag: "wx" });
      chownSync(path, uid, gid);
      chmodSync(path, mode);
      if (isInDirectory(secret)) continue;
      fds.set(placeOf(secret), open(path, O.O_PATH | O.O_CLOEXEC));
      files.add(keptPath(context, id, at));
    }
    if (secrets.some(isInDirectory)) fds.set(PLACE, open(`${top}/directory`, O.O_PATH | O.O_DIRECTORY | O.O_CLOEXEC));
    return { fds, files, mounts, close: closeAll };
  } catch (error) {
    closeAll();
    throw error;
  }
}
