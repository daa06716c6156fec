/** What is written down about a container before anything of it is made. */
import { OnggiError } from "../lib/errors.ts";
import { nowNs, rfc3339 } from "../lib/time.ts";
import { checkHostSupport } from "../runtime/host-support.ts";
import { checkNamespaces, withJoinedIdMaps } from "../runtime/namespaces.ts";
import { AT } from "../sys/constants.ts";
import { readlinkat } from "../sys/file.ts";
import { readBundle, rootOf } from "./bundle.ts";
import { cgroupOf, type OwnCgroup } from "./cgroup.ts";
import { ContainerDirectory, type ContainerRecord } from "./directory.ts";
import { withHome, withListenFds } from "./environment.ts";
import type { HandOverOptions } from "./hand-over.ts";
import type { Host } from "./host.ts";
import type { CreateOptions } from "./types.ts";

/** The container that a bundle describes, and its cgroup, which is not made yet. `detached`: nobody of ours stays with it. */
export function newRecord(
  host: Host,
  options: CreateOptions,
  detached: boolean,
): { readonly record: ContainerRecord; readonly cgroup: OwnCgroup | null } {
  const { bundle, id } = options;
  ContainerDirectory.refuseExisting(host.root, id);
  const spec = withJoinedIdMaps(readBundle(bundle));
  const { process } = spec;
  if (!process) throw new OnggiError("invalid_spec", "process: is missing");
  checkTerminal(options, !!process.terminal, detached);
  const rootfs = rootOf(spec, bundle);
  checkNamespaces(spec);
  for (const warning of checkHostSupport(spec, { facts: host.facts })) host.warn(warning);
  const cgroup = cgroupOf(host, spec, id);
  const record: ContainerRecord = {
    version: 1,
    id,
    bundle,
    rootfs,
    created: rfc3339(nowNs()),
    owner: ownerOf(globalThis.process.geteuid?.() ?? 0),
    systemdCgroup: host.systemdCgroup,
    cgroupPath: cgroup?.path ?? null,
    streams: standardStreams(),
    spec: { ...spec, process: withListenFds(withHome(process, rootfs), options.listenFds ?? 0) },
  };
  return { record, cgroup };
}

const ownerOf = (uid: number): string => (uid === 0 ? "root" : (globalThis.process.env.USER ?? String(uid)));

/** The caller's, which the front passes on to this process and to the container. */
const standardStreams = (): string[] => [0, 1, 2].map((fd) => readlinkat(AT.AT_FDCWD, `/proc/self/fd/${fd}`));

/** Throws OnggiError `invalid_terminal`. */
export function checkTerminal({ consoleSocket }: HandOverOptions, terminal: boolean, detached: boolean): void {
  if (terminal && detached && consoleSocket === undefined) {
    throw new OnggiError("invalid_terminal", "cannot allocate tty if onggi-runtime will detach without setting console socket");
  }
  if (consoleSocket !== undefined && !(terminal && detached)) {
    throw new OnggiError("invalid_terminal", "cannot use console socket if onggi-runtime will not detach or allocate tty");
  }
}
