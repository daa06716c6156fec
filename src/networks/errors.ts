/** The conditions of the networks noun, by code. */
import { OnggiError } from "../lib/errors.ts";

export type NetworkErrorCode =
  | "network_not_found"
  | "network_ambiguous"
  | "network_exists"
  | "network_in_use"
  | "network_invalid"
  | "network_configuration_refused"
  | "network_failed"
  | "encryption_unavailable"
  | "address_invalid"
  | "address_in_use"
  | "addresses_exhausted"
  | "subnet_overlap"
  | "port_in_use"
  | "port_invalid"
  | "endpoint_exists"
  | "endpoint_not_found"
  | "namespace_invalid"
  | "interface_exists"
  | "attachment_broken"
  | "node_not_found"
  | "node_exists"
  | "node_invalid"
  | "node_in_use"
  | "cluster_unavailable";

export class NetworkError extends OnggiError {
  declare readonly code: NetworkErrorCode;

  constructor(code: NetworkErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, options);
  }
}
