import { X509Certificate } from "node:crypto";
import type { CertificatePeer } from "./types.ts";

/** What a client's certificate, in DER, says of it. */
export function certificatePeer(der: Uint8Array): CertificatePeer {
  const { subject, subjectAltName, fingerprint256 } = new X509Certificate(der);
  const commonNames = (subject ?? "").split("\n").filter((line) => line.startsWith("CN="));
  return {
    kind: "certificate",
    commonName: commonNames.at(-1)?.slice("CN=".length) ?? "",
    names: namesOf(subjectAltName ?? ""),
    fingerprint: fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** "DNS:a, IP Address:10.0.0.1": a name with a comma, a quote or a line in it is written in quotes, and is left out. */
const namesOf = (text: string): string[] =>
  text
    .split(", ")
    .map((part) => /^(?:DNS|IP Address|email|URI):([^",\s]+)$/.exec(part)?.[1])
    .filter((name) => name !== undefined);
