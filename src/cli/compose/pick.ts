import { containersOf, isUp, type ObservedContainer } from "../../compose/observe.ts";
import { OnggiError } from "../../lib/errors.ts";
import { integer } from "../flags.ts";
import type { Compose } from "./command.ts";

export const index = integer("", "N", "the service's container of that number (its first)");

/** One container of a service. Throws `service_not_running`. */
export async function pick(
  compose: Compose,
  service: string,
  index: number | undefined,
  all = false,
): Promise<ObservedContainer> {
  const { name } = await compose.known([service]);
  const found = await containersOf(compose.context.call, name, { services: [service], all });
  const container = found.find((one) => (index === undefined || one.number === index) && (all || isUp(one)));
  if (container) return container;
  const which = index === undefined ? "" : ` container #${index}`;
  throw new OnggiError("service_not_running", `service "${service}" is not running${which}: onggi compose up -d ${service}`);
}
