/** An engine that runs reads its settings anew. */
import { hostname } from "node:os";
import { openPolicy } from "../images/policy.ts";
import { messageOf } from "../lib/errors.ts";
import { type Configuration, checkConfiguration } from "./configuration.ts";
import type { Context } from "./context.ts";
import type { EngineSetting, PendingSetting, Reloaded, SettingsReport } from "./types.ts";

const byName = (settings: readonly EngineSetting[]): Map<string, EngineSetting> =>
  new Map(settings.map((setting) => [setting.name, setting]));

/** Settings of `written` that have another value than in `inForce`, and those that are in one of them alone. */
function differing(inForce: readonly EngineSetting[], written: readonly EngineSetting[]): PendingSetting[] {
  const [now, next] = [byName(inForce), byName(written)];
  return [...new Set([...now.keys(), ...next.keys()])].flatMap((name) => {
    const [before, after] = [now.get(name), next.get(name)];
    if (before?.value === after?.value) return [];
    const { when } = (after ?? before) as EngineSetting;
    return [{ name, value: after?.value ?? null, when }];
  });
}

/** `written` as far as an engine that runs can have it. */
function taken(inForce: Configuration, written: Configuration, pending: ReadonlySet<string>): Configuration {
  const now = byName(inForce.settings);
  const { proxies: _, ...registries } = written.registries;
  const kept = inForce.registries.proxies;
  return {
    ...written,
    settings: written.settings.map((setting) => (pending.has(setting.name) ? (now.get(setting.name) ?? setting) : setting)),
    registries: { ...registries, ...(kept ? { proxies: kept } : {}) },
    networks: { ...written.networks, bridge: inForce.networks.bridge },
  };
}

/**
 * Takes over what a running engine can take: containers that are there keep what they were made with. What only the next engine can
 * have is said in the log. Nothing changes when it throws: "engine_config_invalid", "runtime_not_found" and what `read` throws.
 */
export function reloadEngine(context: Context, read: () => Configuration, id: string): Reloaded {
  const inForce = context.configuration;
  const written = read();
  checkConfiguration(written);
  context.runtimes.configure(written.runtimes);
  const others = differing(inForce.settings, written.settings);
  const pending = others.filter(({ when }) => when === "restart").map(({ name }) => name);
  const changed = others.filter(({ when }) => when === "reload").map(({ name }) => name);
  context.configuration = taken(inForce, written, new Set(pending));
  if (inForce.policy !== written.policy) context.policy = openPolicy(written.policy);
  context.log(`settings read anew: ${changed.length === 0 ? "nothing has changed" : changed.join(", ")}`);
  if (pending.length > 0)
    context.log(`settings that the next engine will have (onggi engine stop, then start): ${pending.join(", ")}`);
  const attributes = context.configuration.settings.map(({ name, value }) => [name, value]);
  context.events.emit("daemon", "reload", id, { name: hostname(), ...Object.fromEntries(attributes) });
  return { changed, pending };
}

export function settingsReport({ configuration: { settings } }: Context, read: () => Configuration): SettingsReport {
  try {
    const written = read();
    checkConfiguration(written);
    return { settings, pending: differing(settings, written.settings), problem: "" };
  } catch (error) {
    return { settings, pending: [], problem: messageOf(error) };
  }
}
