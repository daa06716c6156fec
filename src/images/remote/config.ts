/** registries.toml: what an administrator says of single registries. docs/registries.md describes it. Pure. */
import { messageOf, OnggiError } from "../../lib/errors.ts";

export interface RegistryConfig {
  /** Where it really is: host and port. */
  readonly host?: string;
  /** "http": plain HTTP alone; "either": https unverified, else http. */
  readonly insecure?: "http" | "either";
  /** File of PEM authorities, in place of the well-known ones. */
  readonly ca?: string;
  readonly blocked?: boolean;
}

const hostPattern = /^(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;

const kinds: Readonly<Record<keyof RegistryConfig, { is: (value: unknown) => boolean; words: string }>> = {
  host: { is: (value) => typeof value === "string" && hostPattern.test(value), words: "a host name, with a port where needed" },
  insecure: { is: (value) => value === "http" || value === "either", words: '"http" or "either"' },
  ca: { is: (value) => typeof value === "string" && value.startsWith("/"), words: "an absolute path" },
  blocked: { is: (value) => typeof value === "boolean", words: "true or false" },
};

const isTable = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads the file's text; `file` is its name for errors. Throws "registry_config_invalid", which names file and key. */
export const readConfig = (text: string, file: string): Map<string, RegistryConfig> => {
  const wrong = (why: string): OnggiError => new OnggiError("registry_config_invalid", `${file}: ${why}`);
  let root: unknown;
  try {
    root = Bun.TOML.parse(text);
  } catch (error) {
    throw wrong(`it is not TOML: ${messageOf(error).slice(0, 200)}`);
  }
  if (!isTable(root)) throw wrong("it is no table");
  for (const key of Object.keys(root)) if (key !== "registry") throw wrong(`"${key}" is not known; there is "registry"`);
  const tables = root.registry ?? {};
  if (!isTable(tables)) throw wrong('"registry" must be a table of registries');
  const found = new Map<string, RegistryConfig>();
  for (const [domain, table] of Object.entries(tables)) {
    const at = `registry."${domain}"`;
    if (!isTable(table)) throw wrong(`${at} must be a table`);
    for (const [key, value] of Object.entries(table)) {
      if (!Object.hasOwn(kinds, key)) throw wrong(`${at}.${key} is not known; there are ${Object.keys(kinds).join(", ")}`);
      const kind = kinds[key as keyof RegistryConfig];
      if (!kind.is(value)) throw wrong(`${at}.${key} must be ${kind.words}`);
    }
    if (table.insecure && table.ca) throw wrong(`${at}: "ca" is of no use with "insecure"`);
    found.set(domain, table as RegistryConfig);
  }
  return found;
};
