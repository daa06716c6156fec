/** What etcd's refusals mean. Pure. Sources: gRPC's status codes, etcd's api/v3rpc/rpctypes/error.go. */
import { EtcdError } from "./errors.ts";

export interface Status {
  /** Of gRPC. */
  readonly code: number;
  readonly message: string;
}

const CODE = { NOT_FOUND: 5, PERMISSION_DENIED: 7, OUT_OF_RANGE: 11, UNAUTHENTICATED: 16 } as const;

/** Cancelled, unknown, deadline exceeded, aborted, internal, unavailable, data loss: said of the server, not of the request. */
const passing = new Set([1, 2, 4, 10, 13, 14, 15]);

const overloaded = ({ message }: Status): boolean => message.includes("too many requests");

/** The token is unknown or of earlier: another one helps. */
export const wantsToken = ({ code, message }: Status): boolean =>
  code === CODE.UNAUTHENTICATED || message.includes("revision of auth store is old") || message.includes("user name is empty");

export const withoutAuth = ({ message }: Status): boolean => message.includes("authentication is not enabled");

/** Another endpoint may carry the request out, or this one later. */
export const mayPass = (status: Status): boolean => !wantsToken(status) && (passing.has(status.code) || overloaded(status));

/** It was not carried out, and will not be. */
export const notDone = (status: Status): boolean => status.message.includes("no leader") || overloaded(status);

/** Of what neither passes nor wants a token. */
export function refusal(status: Status): EtcdError {
  const { code, message } = status;
  const said = message.replace(/^etcdserver: /, "");
  if (code === CODE.NOT_FOUND && message.includes("lease")) return new EtcdError("etcd_lease_gone", "etcd: the lease has ended");
  if (code === CODE.OUT_OF_RANGE && message.includes("compacted"))
    return new EtcdError("etcd_compacted", "etcd: the revision is no longer kept");
  if (code === CODE.PERMISSION_DENIED)
    return new EtcdError("etcd_unauthorized", `etcd: ${said}: the user needs a role that may read and write these keys`);
  if (message.includes("authentication failed"))
    return new EtcdError("etcd_unauthorized", "etcd does not know this user with this password");
  if (message.includes("user name is empty"))
    return new EtcdError("etcd_unauthorized", "etcd wants a user and a password: etcd://user:password@host");
  if (wantsToken(status)) return new EtcdError("etcd_unauthorized", `etcd: ${said}`);
  return new EtcdError("etcd_refused", `etcd refused: ${said}`);
}

/** "rpc error: code = PermissionDenied desc = etcdserver: permission denied", as etcd writes it in the reason of a watch's end. */
export function statusInReason(reason: string): Status {
  const [, name = "", message = reason] = /^rpc error: code = (\w+) desc = (.*)$/s.exec(reason) ?? [];
  const codes: Readonly<Record<string, number>> = {
    PermissionDenied: CODE.PERMISSION_DENIED,
    Unauthenticated: CODE.UNAUTHENTICATED,
    InvalidArgument: 3,
  };
  return { code: codes[name] ?? 14, message };
}
