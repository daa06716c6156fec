/**
 * Messages between the engine and the resolver, over a SOCK_SEQPACKET socket: JSON texts, with descriptors beside them. The engine's
 * are lists of orders: the kernel keeps ten messages, whatever their size. The engine says everything again to a resolver that it finds, and then `settled`.
 */
import type { DnsContainer, DnsEndpoint, DnsNetwork } from "./types.ts";

export const SOCKET = "resolver.sock";
/** Held by the resolver of a run directory. */
export const LOCK_FILE = "resolver.lock";
export const LOG_FILE = "resolver.log";

/** Engine to resolver. */
export type Order =
  /** The next two descriptors are its sockets, unless the resolver has those of this namespace. */
  | { readonly op: "serve"; readonly container: DnsContainer; readonly netns: string; readonly sockets: boolean }
  | { readonly op: "forget"; readonly container: string }
  | { readonly op: "network"; readonly network: DnsNetwork }
  | { readonly op: "drop"; readonly network: string }
  | { readonly op: "join"; readonly network: string; readonly endpoints: readonly DnsEndpoint[] }
  | { readonly op: "leave"; readonly network: string; readonly container: string }
  /** What was not said over this connection is forgotten. */
  | { readonly op: "settled" }
  | { readonly op: "stop" };

/** Another one if messages change: a resolver with another is replaced, its sockets live on. */
export const PROTOCOL = 2;

/** Resolver to engine, when it connects: whom it serves, with two sockets for each. */
export interface Hello {
  readonly protocol: number;
  readonly held: readonly { readonly container: string; readonly netns: string }[];
  readonly isLast: boolean;
}

/** Descriptors beside one message: the kernel passes 253 at once. */
export const FDS_MOST = 200;
/** Endpoints in one `join`. */
export const JOIN_MOST = 50;
/** Bytes of a message, and of its orders when another may be added. */
export const MESSAGE_MAX = 128 * 1024;
export const BATCH_SIZE = 32 * 1024;

export const encode = (message: Hello): Uint8Array => new TextEncoder().encode(JSON.stringify(message));
export const decode = <T extends readonly Order[] | Hello>(bytes: Uint8Array): T =>
  JSON.parse(new TextDecoder().decode(bytes)) as T;
