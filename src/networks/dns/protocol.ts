/**
 * Messages between the engine and the resolver, over a SOCK_SEQPACKET socket: one JSON text each, with descriptors beside it where
 * that is said. The engine says everything again to a resolver that it finds, and then `settled`.
 */
import type { DnsContainer, DnsEndpoint, DnsNetwork } from "./types.ts";

export const SOCKET = "resolver.sock";
/** Held by the resolver of a run directory. */
export const LOCK_FILE = "resolver.lock";
export const LOG_FILE = "resolver.log";

/** Engine to resolver. */
export type Order =
  /** With the two sockets, unless the resolver has those of this namespace. */
  | { readonly op: "serve"; readonly container: DnsContainer; readonly netns: string }
  | { readonly op: "forget"; readonly container: string }
  | { readonly op: "network"; readonly network: DnsNetwork }
  | { readonly op: "drop"; readonly network: string }
  | { readonly op: "join"; readonly network: string; readonly endpoints: readonly DnsEndpoint[] }
  | { readonly op: "leave"; readonly network: string; readonly container: string }
  /** What was not said over this connection is forgotten. */
  | { readonly op: "settled" }
  | { readonly op: "stop" };

/** Another one if messages change: a resolver with another is replaced, its sockets live on. */
export const PROTOCOL = 1;

/** Resolver to engine, when it connects: whom it serves, with two sockets for each. */
export interface Hello {
  readonly protocol: number;
  readonly held: readonly { readonly container: string; readonly netns: string }[];
  readonly isLast: boolean;
}

/** Containers in one `Hello`: the kernel passes 253 descriptors at once. */
export const HELLO_MOST = 100;
/** Endpoints in one `join`. */
export const JOIN_MOST = 50;
/** Bytes of a message. */
export const MESSAGE_MAX = 128 * 1024;

export const encode = (message: Order | Hello): Uint8Array => new TextEncoder().encode(JSON.stringify(message));
export const decode = <T extends Order | Hello>(bytes: Uint8Array): T => JSON.parse(new TextDecoder().decode(bytes)) as T;
