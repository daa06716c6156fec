/**
 * Ports of the host that containers have. A port is claimed by a socket that is bound to it and nothing more, so that neither another
 * container nor a process of the host gets it, nor a container one that a process has.
 */
import { messageOf } from "../lib/errors.ts";
import { close, holdPort, isErrno } from "../sys/index.ts";
import { NetworkError } from "./errors.ts";
import { readSysctl } from "./host.ts";
import { portHolder } from "./port-holder.ts";
import { addressText, familyOf, parseAddress } from "./prefixes.ts";
import type { Protocol, Publication } from "./types.ts";

interface Claim {
  container: string;
  readonly protocol: Protocol;
  readonly hostIp: string;
  readonly hostPort: number;
  /** The socket; null where processes of the host may have the port, or the kernel has no sockets of that protocol. */
  readonly fd: number | null;
}

const endpointText = (hostIp: string, port: number): string =>
  hostIp.includes(":") ? `[${hostIp}]:${port}` : `${hostIp}:${port}`;
const isAny = (ip: string): boolean => ip === "0.0.0.0" || ip === "::";

/** A publication with its fields checked and its address in canonical text. @throws NetworkError port_invalid */
export function checkPublication(publication: Publication): Publication {
  const { protocol, containerPort, hostPort, hostPortEnd } = publication;
  const isPort = (port: number, least: number): boolean => Number.isInteger(port) && port >= least && port <= 65_535;
  const text = `${endpointText(publication.hostIp, hostPort)} to ${containerPort}/${protocol}`;
  if (!["tcp", "udp", "sctp"].includes(protocol)) {
    throw new NetworkError("port_invalid", `publish ${text}: the protocol is tcp, udp or sctp`);
  }
  if (!isPort(containerPort, 1)) throw new NetworkError("port_invalid", `publish ${text}: a container's port is 1 to 65535`);
  const random = hostPort === 0 && hostPortEnd === 0;
  if (!random && (!isPort(hostPort, 1) || !isPort(hostPortEnd, 1) || hostPort > hostPortEnd)) {
    throw new NetworkError(
      "port_invalid",
      `publish ${text}: ports ${hostPort}-${hostPortEnd} of the host are no range of 1 to 65535`,
    );
  }
  const { family, number } = parseAddress(publication.hostIp, "host address");
  const unreserved = publication.unreserved ? ({ unreserved: true } as const) : {};
  return { protocol, containerPort, hostIp: addressText(family, number), hostPort, hostPortEnd, ...unreserved };
}

/** Requests that differ in nothing but the host's address: they are to have the same port. In the order of the first of each. */
export function groupPublications(publications: readonly Publication[]): Publication[][] {
  const groups = Map.groupBy(
    publications,
    ({ protocol, containerPort, hostPort, hostPortEnd }) => `${protocol} ${containerPort} ${hostPort} ${hostPortEnd}`,
  );
  return [...groups.values()].flatMap((group) => {
    // The same address twice asks for two ports.
    const rounds: Publication[][] = [];
    for (const publication of group) {
      const round = rounds.find((members) => members.every(({ hostIp }) => hostIp !== publication.hostIp));
      if (round === undefined) rounds.push([publication]);
      else round.push(publication);
    }
    return rounds;
  });
}

/** The ports that the kernel itself gives out, ip(7). */
export function ephemeralRange(): readonly [first: number, last: number] {
  const [first, last] = (readSysctl("ipv4/ip_local_port_range") ?? "").split(/\s+/).map(Number);
  return first && last && first <= last ? [first, last] : [32_768, 60_999];
}

export class PortClaims {
  /** By protocol and port. */
  readonly #byPort = new Map<string, Claim[]>();
  readonly #byContainer = new Map<string, Set<Claim>>();
  /** Random ports walk on, so that one that was given back is the last to be given again. */
  #next = 0;
  readonly #nameOf: (container: string) => string;

  constructor(nameOf: (container: string) => string) {
    this.#nameOf = nameOf;
  }

  /**
   * Claims ports for a container, all or none.
   * @returns the requests with the port that each has got
   * @throws NetworkError port_in_use, which says who has it; port_invalid
   */
  claim(container: string, requests: readonly Publication[]): Publication[] {
    const made: Claim[] = [];
    try {
      return groupPublications(requests.map(checkPublication)).flatMap((group) => {
        const port = this.#claimGroup(container, group, made);
        return group.map((publication) => ({ ...publication, hostPort: port, hostPortEnd: port }));
      });
    } catch (error) {
      for (const claim of made) this.#drop(claim);
      throw error;
    }
  }

  #claimGroup(container: string, group: readonly Publication[], made: Claim[]): number {
    const { hostPort, hostPortEnd, protocol, containerPort } = group[0]!;
    const random = hostPort === 0;
    const [first, last] = random ? ephemeralRange() : [hostPort, hostPortEnd];
    const size = last - first + 1;
    const start = random ? Math.max(this.#next - first, 0) % size : 0;
    for (let step = 0; step < size; step++) {
      const port = first + ((start + step) % size);
      const claims: Claim[] = [];
      try {
        for (const { hostIp, unreserved } of group)
          claims.push(this.#claimOne({ container, protocol, hostIp, hostPort: port }, unreserved !== true));
        made.push(...claims);
        if (random) this.#next = port + 1;
        return port;
      } catch (error) {
        for (const claim of claims) this.#drop(claim);
        if (size === 1 || !(error instanceof NetworkError && error.code === "port_in_use")) throw error;
      }
    }
    throw new NetworkError(
      "port_in_use",
      `publish ${containerPort}/${protocol}: all of the host's ports ${first}-${last} are in use; give a larger range`,
    );
  }

  #claimOne(wanted: Omit<Claim, "fd">, reserves: boolean): Claim {
    const { protocol, hostIp, hostPort } = wanted;
    const other = this.#claimed(protocol, hostIp, hostPort);
    const text = `port ${endpointText(hostIp, hostPort)}/${protocol}`;
    if (other !== undefined) {
      throw new NetworkError(
        "port_in_use",
        `${text} is published by container ${this.#nameOf(other.container)}${other.hostIp === hostIp ? "" : ` on ${other.hostIp}`}: choose another, or stop that container`,
      );
    }
    const claim = { ...wanted, fd: reserves ? this.#bind(protocol, hostIp, hostPort, text) : null };
    this.#portClaims(protocol, hostPort).push(claim);
    if (!this.#byContainer.has(claim.container)) this.#byContainer.set(claim.container, new Set());
    this.#byContainer.get(claim.container)!.add(claim);
    return claim;
  }

  #bind(protocol: Protocol, ip: string, port: number, text: string): number | null {
    try {
      return holdPort({ protocol, ip, port });
    } catch (error) {
      if (isErrno(error, "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EAFNOSUPPORT")) return null;
      if (isErrno(error, "EADDRNOTAVAIL")) {
        throw new NetworkError("port_invalid", `${text}: this host has no address ${ip}; "ip address" lists what it has`, {
          cause: error,
        });
      }
      if (!isErrno(error, "EADDRINUSE"))
        throw new NetworkError("network_failed", `${text}: ${messageOf(error)}`, { cause: error });
    }
    try {
      // Connections that a listener left behind hold the port too, against nobody.
      if (protocol === "tcp") return holdPort({ protocol, ip, port, reuse: true });
    } catch (error) {
      if (!isErrno(error, "EADDRINUSE")) throw error;
    }
    const holder = portHolder(protocol, ip, port);
    throw new NetworkError(
      "port_in_use",
      `${text} is in use on the host${holder === null ? "" : ` by ${holder}`}: choose another, or end what has it`,
    );
  }

  /** The claim that keeps an address and port from being claimed. */
  #claimed(protocol: Protocol, hostIp: string, hostPort: number): Claim | undefined {
    return this.#byPort
      .get(`${protocol} ${hostPort}`)
      ?.find(
        (claim) =>
          familyOf(claim.hostIp) === familyOf(hostIp) && (claim.hostIp === hostIp || isAny(claim.hostIp) || isAny(hostIp)),
      );
  }

  #portClaims(protocol: Protocol, port: number): Claim[] {
    const key = `${protocol} ${port}`;
    const claims = this.#byPort.get(key) ?? [];
    this.#byPort.set(key, claims);
    return claims;
  }

  /** Gives ports back: all of a container's, or those. Idempotent. */
  release(container: string, publications?: readonly Publication[]): void {
    for (const claim of [...(this.#byContainer.get(container) ?? [])]) {
      const { protocol, hostIp, hostPort } = claim;
      const isOne = (other: Publication): boolean =>
        other.protocol === protocol && other.hostIp === hostIp && other.hostPort === hostPort;
      if (publications === undefined || publications.some(isOne)) this.#drop(claim);
    }
  }

  /** What one container has claimed of these is another's from now on, and free at no moment between. */
  transfer(from: string, to: string, publications: readonly Publication[]): void {
    for (const claim of [...(this.#byContainer.get(from) ?? [])]) {
      const { protocol, hostIp, hostPort } = claim;
      if (!publications.some((one) => one.protocol === protocol && one.hostIp === hostIp && one.hostPort === hostPort)) continue;
      this.#byContainer.get(from)?.delete(claim);
      claim.container = to;
      if (!this.#byContainer.has(to)) this.#byContainer.set(to, new Set());
      this.#byContainer.get(to)!.add(claim);
    }
    if (this.#byContainer.get(from)?.size === 0) this.#byContainer.delete(from);
  }

  #drop(claim: Claim): void {
    if (claim.fd !== null) close(claim.fd);
    const key = `${claim.protocol} ${claim.hostPort}`;
    const others = this.#byPort.get(key)?.filter((other) => other !== claim) ?? [];
    if (others.length === 0) this.#byPort.delete(key);
    else this.#byPort.set(key, others);
    const own = this.#byContainer.get(claim.container);
    own?.delete(claim);
    if (own?.size === 0) this.#byContainer.delete(claim.container);
  }

  close(): void {
    for (const container of [...this.#byContainer.keys()]) this.release(container);
  }
}
