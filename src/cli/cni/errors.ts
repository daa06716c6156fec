/** Errors as CNI's specification numbers them ("Error", section 5). */
import { messageOf } from "../../lib/errors.ts";

export const CODE = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfiguration: 7,
  tryAgainLater: 11,
  unavailable: 50,
  /** From here on a plugin's own: the engine refused, and says why. */
  refused: 100,
} as const;

const titles: Readonly<Record<number, string>> = {
  1: "incompatible CNI versions",
  2: "unsupported field in network configuration",
  3: "container unknown",
  4: "invalid environment variables",
  5: "I/O failure",
  6: "failed to decode",
  7: "invalid network configuration",
  11: "try again later",
  50: "plugin not available",
  100: "the engine refused",
};

export class CniError extends Error {
  readonly code: number;

  constructor(code: number, details: string, options?: ErrorOptions) {
    super(details, options);
    this.code = code;
  }

  /** What standard output says. */
  toJSON(cniVersion: string): object {
    return { cniVersion, code: this.code, msg: titles[this.code] ?? "", details: this.message };
  }
}

/** What codes of the engine are in CNI; all others: 100. */
const codes: Readonly<Record<string, number>> = {
  engine_unreachable: CODE.tryAgainLater,
  connection_lost: CODE.tryAgainLater,
  addresses_exhausted: CODE.tryAgainLater,
  network_not_found: CODE.invalidConfiguration,
  network_ambiguous: CODE.invalidConfiguration,
  network_invalid: CODE.invalidConfiguration,
  address_invalid: CODE.invalidConfiguration,
  port_invalid: CODE.invalidConfiguration,
  guest_not_found: CODE.unknownContainer,
};

/** Codes that are about a variable of the environment, by its name. */
const variables: Readonly<Record<string, string>> = { namespace_invalid: "CNI_NETNS", interface_exists: "CNI_IFNAME" };

export function asCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  const { code } = error as { code?: unknown };
  const name = typeof code === "string" ? code : "";
  const variable = Object.hasOwn(variables, name) ? variables[name] : undefined;
  if (variable !== undefined) return new CniError(CODE.invalidEnvironment, `${variable}: ${messageOf(error)}`, { cause: error });
  return new CniError(Object.hasOwn(codes, name) ? codes[name]! : CODE.refused, messageOf(error), { cause: error });
}
