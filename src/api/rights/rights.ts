import { OnggiError } from "../../lib/errors.ts";
import { throttled } from "../../lib/throttled.ts";
import type { ClientRule, Peer, Role } from "./types.ts";

const ranks: Readonly<Record<Role, number>> = { read: 1, operate: 2, admin: 3 };

/** A client asked for what it may not do. */
export class AuthorizationDenied extends OnggiError {
  constructor(message: string) {
    super("authorization_denied", message);
  }
}

/** What every socket asks before it does anything. */
export interface Gate {
  /** Throws AuthorizationDenied. `what`: the operation's name. */
  check(peer: () => Peer, needed: Role, what: string): void;
}

/** A client as messages name it. */
export const nameOf = (peer: Peer): string =>
  peer.kind === "process" ? `uid ${peer.uid}` : `the certificate of ${JSON.stringify(peer.commonName || peer.fingerprint)}`;

function fits(rule: ClientRule, peer: Peer): boolean {
  if ("certificate" in rule) {
    if (peer.kind !== "certificate") return false;
    const [, fingerprint] = /^sha256:(.*)$/i.exec(rule.certificate) ?? [];
    if (fingerprint !== undefined) return fingerprint.replaceAll(":", "").toLowerCase() === peer.fingerprint;
    // a certificate without a name is not the one of nobody
    return rule.certificate !== "" && [peer.commonName, ...peer.names].includes(rule.certificate);
  }
  if (peer.kind !== "process") return false;
  return "uid" in rule ? rule.uid === peer.uid : peer.gids.includes(rule.gid);
}

/**
 * The highest role that a rule gives. Without rules whoever comes in may do anything: the socket's permissions, or the authority of
 * its certificates, have let it in. With rules only those may do anything at all that one of them fits, and root, who could do it
 * without the engine.
 */
export function roleOf(rules: readonly ClientRule[], peer: Peer): Role | null {
  if (rules.length === 0 || (peer.kind === "process" && peer.uid === 0)) return "admin";
  const given = rules.filter((rule) => fits(rule, peer)).map(({ role }) => role);
  return given.sort((a, b) => ranks[b] - ranks[a])[0] ?? null;
}

/** `rulesNow`: those in force when somebody asks. `most`: what may be done through a socket at most, whoever comes; it is then what everybody may who can open it. */
export function gateOf(rulesNow: () => readonly ClientRule[], log: (message: string) => void, most?: Role): Gate {
  const tell = throttled(log);
  return {
    check(peer, needed, what) {
      const rules = rulesNow();
      if (most === undefined && rules.length === 0) return;
      const client = peer();
      const role = most ?? roleOf(rules, client);
      if (role !== null && ranks[role] >= ranks[needed]) return;
      const has = most ? `this socket is for ${most} only` : `${nameOf(client)} has ${role === null ? "none" : `"${role}"`}`;
      const message = `authorization denied: ${what} needs the role "${needed}"; ${has}`;
      tell(`${nameOf(client)}: ${message}`);
      throw new AuthorizationDenied(message);
    },
  };
}
