/** What a client of etcd needs for TLS, looked at before it is used: fetch only says that no connection could be made. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { EtcdError } from "./errors.ts";
import type { EtcdOptions } from "./types.ts";

export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

const invalid = (what: string): EtcdError => new EtcdError("etcd_tls_invalid", `TLS to etcd: ${what}`);

/** @throws EtcdError etcd_tls_invalid */
export function checkedTls({ ca, cert, key }: EtcdOptions): Tls {
  if ((cert === undefined) !== (key === undefined))
    throw invalid(cert === undefined ? "the key has no certificate" : "the certificate has no key");
  if (ca !== undefined) certificates(ca, "the authority's certificate");
  if (cert === undefined || key === undefined) return ca === undefined ? {} : { ca };
  // What follows the first are those that signed it.
  const [own] = certificates(cert, "the client's certificate");
  if (!own!.checkPrivateKey(privateKey(key))) throw invalid("the key is not that of the client's certificate");
  return { ...(ca === undefined ? {} : { ca }), cert, key };
}

function certificates(pem: string, what: string): X509Certificate[] {
  const texts = pem.match(CERTIFICATE);
  if (!texts) throw invalid(`${what} is not in PEM: -----BEGIN CERTIFICATE----- ...`);
  try {
    return texts.map((text) => new X509Certificate(text));
  } catch {
    throw invalid(`${what} is damaged`);
  }
}

function privateKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw invalid("the client's key is no private key in PEM, or has a passphrase");
  }
}
