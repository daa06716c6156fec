/** What the engine tells of names. Addresses are texts as formatIp gives them. */

export interface DnsNetwork {
  readonly id: string;
  /** "db.NAME" is a name too, and what PTR answers. */
  readonly name: string;
  /** What is not known here is not asked elsewhere. */
  readonly internal: boolean;
  readonly gateway4: string | null;
  readonly gateway6: string | null;
}

/** A container's place in a network, while it runs. */
export interface DnsEndpoint {
  readonly container: string;
  /**
   * The container's name first, then aliases; its short id is a name too. None: nobody finds it there, and it finds the others, and may
   * ask out of the network.
   */
  readonly names: readonly string[];
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

export interface DnsLink {
  readonly name: string;
  readonly container: string;
  /** Absent: any network that both are in. */
  readonly network?: string;
}

export interface DnsContainer {
  /** The container's id. */
  readonly id: string;
  /** Name servers, by address, that its other questions go to; none: those of the host. */
  readonly upstreams: readonly string[];
  /** Names that it alone knows. */
  readonly extraHosts: readonly { readonly name: string; readonly address: string }[];
  /** Names by which it alone knows other containers of its networks: by id or by whatever they are called there. */
  readonly links?: readonly DnsLink[];
}
