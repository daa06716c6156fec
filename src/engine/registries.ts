import { openRegistries } from "../images/remote/registries.ts";
import type { Registries } from "../images/remote/types.ts";

let registries: Registries | undefined;
let insecure: Registries | undefined;

/** Connections and tokens, shared by everything that talks to registries; made with the first use. */
export function sharedRegistries(): Registries {
  registries ??= openRegistries();
  return registries;
}

/** Those, or for who asks for it some that need not be secure where registries.toml does not say otherwise. */
export function registriesFor(anyhow: boolean | undefined): Registries {
  if (!anyhow) return sharedRegistries();
  insecure ??= openRegistries({ insecure: true });
  return insecure;
}
