/** What can go wrong with etcd, by code. */
import { OnggiError } from "../../../lib/errors.ts";

export type EtcdErrorCode =
  /** No endpoint answered in time, or the cluster has no leader. May pass. */
  | "etcd_unavailable"
  /** Wrong password, a token that etcd does not take, or no permission for a key. */
  | "etcd_unauthorized"
  /** The lease has expired or was revoked. */
  | "etcd_lease_gone"
  /** The revision asked for is no longer kept: list again. */
  | "etcd_compacted"
  /** etcd said no for another reason, which the message gives. */
  | "etcd_refused"
  /** What answered is no etcd, or an answer was too large. */
  | "etcd_invalid_answer"
  | "etcd_url_invalid"
  /** Certificate or key cannot be used. */
  | "etcd_tls_invalid";

export class EtcdError extends OnggiError {
  declare readonly code: EtcdErrorCode;
  /** Whether a transaction may have been carried out all the same: it was sent, and what became of it was not heard. */
  readonly uncertain: boolean;

  constructor(code: EtcdErrorCode, message: string, options: ErrorOptions & { readonly uncertain?: boolean } = {}) {
    super(code, message, options);
    this.uncertain = options.uncertain ?? false;
  }
}
