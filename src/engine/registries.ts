import { openRegistries } from "../images/remote/registries.ts";
import type { Registries } from "../images/remote/types.ts";

let registries: Registries | undefined;

/** Connections and tokens, shared by everything that talks to registries; made with the first use. */
export function sharedRegistries(): Registries {
  registries ??= openRegistries();
  return registries;
}
