/** Where Docker's API is served on TCP, and by which certificates: `docker-host`, `tlscacert`, `tlscert`, `tlskey`. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { SecurePort } from "../api/http/server.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import type { EngineFlags } from "./context.ts";

/** What Docker's clients take for TLS when an address names no port. */
const PORT = 2376;

const wrong = (message: string): OnggiError => new OnggiError("engine_config_invalid", message);

/** "tcp://127.0.0.1:2376,tcp://[::1]" as addresses. Throws `engine_config_invalid`. */
export function parseDockerHosts(text: string): { hostname: string; port: number }[] {
  return text.split(",").map((one) => {
    const [, bracketed, plain, digits] = /^tcp:\/\/(?:\[([0-9a-fA-F:.]+)\]|([^[\]:/@\s]+))(?::(\d{1,5}))?\/?$/.exec(one) ?? [];
    const hostname = bracketed ?? plain;
    const port = digits === undefined ? PORT : Number(digits);
    if (hostname === undefined || port > 65535)
      throw wrong(`docker-host ${JSON.stringify(one.slice(0, 200))} is no address as in tcp://127.0.0.1:${PORT}`);
    return { hostname, port };
  });
}

export type DockerHostFlags = Pick<EngineFlags, "dockerHost" | "tlsCa" | "tlsCert" | "tlsKey">;

/**
 * The ports; none if none is asked for. Throws `engine_config_invalid`, unless all three files are there and fit together: who
 * reaches this API has the host.
 */
export function dockerPorts(given: DockerHostFlags): SecurePort[] {
  const files = { tlscacert: given.tlsCa, tlscert: given.tlsCert, tlskey: given.tlsKey };
  if (given.dockerHost === undefined) {
    const [alone] = Object.entries(files).find(([, file]) => file !== undefined) ?? [];
    if (alone !== undefined) throw wrong(`${alone} is for Docker's API on TCP, and docker-host does not ask for that`);
    return [];
  }
  const places = parseDockerHosts(given.dockerHost);
  const textOf = (name: keyof typeof files): string => {
    const file = files[name];
    if (file === undefined)
      throw wrong(`docker-host ${given.dockerHost}: on TCP clients must have certificates; give tlscacert, tlscert and tlskey`);
    return checked(`${name} ${file}`, () => readFileSync(file, "utf8"));
  };
  const tls = { ca: textOf("tlscacert"), cert: textOf("tlscert"), key: textOf("tlskey") };
  checked(`tlscacert ${files.tlscacert}`, () => new X509Certificate(tls.ca));
  checked(`tlscert ${files.tlscert}`, () => new X509Certificate(tls.cert));
  checked(`tlskey ${files.tlskey} with tlscert ${files.tlscert}`, () => createSecureContext(tls));
  return places.map((place) => ({ ...place, tls }));
}

function checked<T>(what: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw wrong(`${what} cannot be used: ${messageOf(error)}`);
  }
}
