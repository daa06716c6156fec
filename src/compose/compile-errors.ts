import { OnggiError } from "../lib/errors.ts";
import type { Service } from "./project.ts";

/** The engine cannot do what a key asks for. */
export const unsupported = (service: Service, key: string, why: string): OnggiError =>
  new OnggiError("compose_unsupported", `service ${service.name}: ${key} is not supported: ${why}`);

/** A key says what makes no sense. */
export const invalid = (service: Service, key: string, why: string): OnggiError =>
  new OnggiError("compose_invalid", `service ${service.name}: ${key}: ${why}`);
