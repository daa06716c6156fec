import type { EngineSetting } from "../control/types.ts";
import type { ClientRule } from "./types.ts";

/** The rules that an engine's settings have: those of the moment, for they may be read anew while it runs. */
export function rulesInForce(settingsNow: () => readonly EngineSetting[]): () => readonly ClientRule[] {
  let known: readonly EngineSetting[] | undefined;
  let rules: readonly ClientRule[] = [];
  return () => {
    const settings = settingsNow();
    if (settings !== known) {
      rules = JSON.parse(settings.find(({ name }) => name === "clients")?.value || "[]");
      known = settings;
    }
    return rules;
  };
}
