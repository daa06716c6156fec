/** Namespaces that are not the container's own: criu neither saves nor makes them. */
import { statSync } from "node:fs";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import type { NamespaceType, Spec } from "../../oci/spec.ts";
import { namespaceFiles } from "../../runtime/compile-context.ts";
import { O } from "../../sys/constants.ts";
import { open } from "../../sys/file.ts";

interface Joined {
  readonly type: NamespaceType;
  readonly path: string;
}

const joined = (spec: Spec): Joined[] =>
  (spec.linux?.namespaces ?? []).flatMap(({ type, path }) => (path === undefined || path === "" ? [] : [{ type, path }]));

/** Of these criu knows that they are external; the keys are runc's, so that images can be exchanged. */
const keys: Partial<Record<NamespaceType, string>> = { network: "extRootNetNS", pid: "extRootPidNS" };

/** For a dump, as criu(8) has it for --external: "net[4026531992]:key". */
export const namespacesToDump = (spec: Spec): string[] =>
  joined(spec).flatMap(({ type, path }) => {
    const key = keys[type];
    return key === undefined ? [] : [`${namespaceFiles[type]}[${inodeOf(type, path)}]:${key}`];
  });

export interface NamespacesToRestore {
  /** Open namespaces and their keys; whoever asked closes them. */
  readonly inherited: readonly { readonly key: string; readonly fd: number }[];
  /** Those that criu joins by itself: name and file. */
  readonly join: readonly (readonly [namespace: string, file: string])[];
}

/** Throws OnggiError `namespace_missing`, or `unsupported_spec` for one that criu cannot join. */
export function namespacesToRestore(spec: Spec): NamespacesToRestore {
  const inherited: { key: string; fd: number }[] = [];
  const join: [string, string][] = [];
  for (const { type, path } of joined(spec)) {
    const key = keys[type];
    if (type === "cgroup") {
      throw new OnggiError("unsupported_spec", "linux.namespaces: criu cannot restore into a given cgroup namespace");
    }
    if (key === undefined) join.push([namespaceFiles[type], path]);
    else inherited.push({ key, fd: openNamespace(type, path) });
  }
  return { inherited, join };
}

function openNamespace(type: NamespaceType, path: string): number {
  try {
    return open(path, O.O_RDONLY | O.O_CLOEXEC);
  } catch (error) {
    throw missing(type, error);
  }
}

function inodeOf(type: NamespaceType, path: string): number {
  try {
    return statSync(path).ino;
  } catch (error) {
    throw missing(type, error);
  }
}

const missing = (type: NamespaceType, cause: unknown) =>
  new OnggiError("namespace_missing", `linux.namespaces: requested ${type} namespace does not exist: ${messageOf(cause)}`, {
    cause,
  });
