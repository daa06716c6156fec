/** What is asked of etcd and what it answers. Keys and values are UTF-8; bytes of others that are not come as U+FFFD. */

export interface EtcdOptions {
  /** "http://10.0.0.1:2379"; tried in turn. */
  readonly endpoints: readonly string[];
  readonly user?: string;
  readonly password?: string;
  /** PEM texts. `ca` in place of the well-known authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Milliseconds one request may take, all endpoints together; 5000. */
  readonly timeout?: number;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  readonly modRevision: number;
  readonly createRevision: number;
  /** "" without one */
  readonly lease: string;
}

/** A condition of a transaction. */
export type Compare =
  /** No key begins with it. */
  | { readonly prefix: string; readonly absent: true }
  | { readonly key: string; readonly absent: true }
  | { readonly key: string; readonly present: true }
  | { readonly key: string; readonly modRevision: number }
  | { readonly key: string; readonly value: string };

export type Operation =
  | { readonly put: string; readonly value: string; readonly lease?: string }
  | { readonly remove: string }
  | { readonly removePrefix: string }
  | { readonly get: string }
  | { readonly list: string };

/** If all of `compare` hold `success` is carried out, otherwise `failure`: wholly, at one revision. At most 128 operations. */
export interface Transaction {
  readonly compare: readonly Compare[];
  readonly success: readonly Operation[];
  readonly failure?: readonly Operation[];
}

export interface OperationResult {
  /** Of get and list. */
  readonly entries: readonly Entry[];
  /** Number of keys that were removed. */
  readonly removed: number;
}

export interface TransactionResult {
  /** Whether `compare` held. */
  readonly succeeded: boolean;
  /** The store's, after the transaction. */
  readonly revision: number;
  /** One for each operation carried out. */
  readonly results: readonly OperationResult[];
}

export interface Listing {
  readonly entries: readonly Entry[];
  /** The one that all entries are of. */
  readonly revision: number;
}

/** What there is to see that a watch has missed nothing. */
export interface Changes {
  /** Number of keys that were put after the revision and are still there. */
  readonly changed: number;
  /** Number of keys there are: with fewer than are known, some were removed. */
  readonly keys: number;
  /** The store's, now. */
  readonly revision: number;
}

export type WatchEvent =
  | { readonly type: "put"; readonly entry: Entry }
  | { readonly type: "remove"; readonly key: string; readonly modRevision: number };

export interface WatchBatch {
  readonly events: readonly WatchEvent[];
  /** The last event's: all changes up to it have been told. A watch from the one after it goes on. */
  readonly revision: number;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** Called once etcd has confirmed the watch. */
  readonly opened?: () => void;
}
