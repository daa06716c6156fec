/** Who may do what. Types only. */

/**
 * What an operation needs, and what a client may do at most; each includes the one before.
 * - `read`: sees what there is and how it fares; changes nothing.
 * - `operate`: changes the state of what there is: starts, stops, pauses, removes. Makes nothing, brings nothing in, and looks into
 *   nobody's files.
 * - `admin`: anything. Whoever makes a container, or runs a command in one, can have the host's root.
 */
export type Role = "read" | "operate" | "admin";

/** A client, as the kernel or TLS vouches for it. */
export type Peer = ProcessPeer | CertificatePeer;

/** At the other end of a unix socket, when it connected. */
export interface ProcessPeer {
  readonly kind: "process";
  readonly uid: number;
  /** Its group, and its supplementary groups. */
  readonly gids: readonly number[];
}

export interface CertificatePeer {
  readonly kind: "certificate";
  /** Of the subject; "" where it has none. */
  readonly commonName: string;
  /** Its alternative names: hosts, addresses, mail addresses, URIs. */
  readonly names: readonly string[];
  /** SHA-256 of the certificate, lower-case hexadecimal. */
  readonly fingerprint: string;
}

/** One line of what an engine is told about its clients: whoever it fits has that role. */
export type ClientRule = { readonly role: Role } & (
  | { readonly uid: number }
  | { readonly gid: number }
  /** A common name, an alternative name or "sha256:" with a fingerprint. */
  | { readonly certificate: string }
);
