/**
 * policy.toml: which images may come from registries. docs/trust.md describes it. Read anew for every pull, so that what is written
 * holds at once; a file that is not there asks for nothing, one that cannot be read lets nothing come.
 */
import { readFileSync } from "node:fs";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { isTable, parseToml, type Table } from "../lib/toml.ts";
import { canonicalName, type Reference } from "../oci/reference.ts";
import { type PublicKey, parsePublicKey } from "./trust/keys.ts";
import { type Identity, verifyImage } from "./trust/verify.ts";
import type { Policy } from "./types.ts";

export const DEFAULT_POLICY = "/etc/onggi/policy.toml";

export type PolicyRule =
  | { readonly kind: "accept" | "reject" | "digest" }
  | {
      readonly kind: "signature";
      /** Paths. */
      readonly keys: readonly string[];
      readonly identity: Identity;
      /** "upstream.example/team": stands for the rule's name in what images are to be signed as. */
      readonly signedAs?: string;
      /** Where it stands in the file. */
      readonly line: number;
    };

const host = "(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?";
const path = "(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*";
const location = new RegExp(`^${host}${path}$`);
/** "*", "*.example", "registry.example", "registry.example/team". */
const rulePattern = new RegExp(`^(?:\\*|(?:\\*\\.)?${host}${path})$`);

const isPath = (value: unknown): value is string => typeof value === "string" && value.startsWith("/");

/** By key: what its value must be, and words for that. */
const kinds: Readonly<Record<string, readonly [is: (value: unknown) => boolean, words: string]>> = {
  accept: [(value) => value === true, "true"],
  reject: [(value) => value === true, "true"],
  require: [(value) => value === "digest" || value === "signature", '"digest" or "signature"'],
  keys: [(value) => Array.isArray(value) && value.length > 0 && value.every(isPath), "a list of absolute paths of PEM files"],
  identity: [(value) => value === "repository" || value === "exact" || value === "any", '"repository", "exact" or "any"'],
  "signed-as": [(value) => typeof value === "string" && location.test(value), "a name as images have it, without tag"],
};

/** Where a rule stands in its file: the line of its table, and those of its keys. */
interface Place {
  readonly line: number;
  readonly keys: Map<string, number>;
}

/** The places of the rules, by name. A text that writes them in another notation than tables and lines has none. */
const placesOf = (text: string): Map<string, Place> => {
  const places = new Map<string, Place>();
  let current: Place | undefined;
  for (const [at, line] of text.split("\n").entries()) {
    if (/^\s*\[/.test(line)) {
      current = undefined;
      try {
        const { policy } = parseToml(line);
        const [name] = isTable(policy) ? Object.keys(policy) : [];
        current = { line: at + 1, keys: new Map() };
        if (name !== undefined) places.set(name, current);
      } catch {
        // the end of a list, say
      }
    }
    const key = /^\s*("?)([A-Za-z0-9_-]+)\1\s*=/.exec(line)?.[2];
    if (key !== undefined) current?.keys.set(key, at + 1);
  }
  return places;
};

/** The line of a rule, or of a key in it; the file's first where it cannot be told. */
const lineOf = (places: ReadonlyMap<string, Place>, name: string, key?: string): number => {
  const place = places.get(name);
  return (key === undefined ? undefined : place?.keys.get(key)) ?? place?.line ?? 1;
};

const ruleOf = (name: string, table: Table, places: ReadonlyMap<string, Place>): PolicyRule => {
  const wrong = (why: string, key?: string): Error =>
    new Error(`line ${lineOf(places, name, key)}: policy.${JSON.stringify(name)}${why}`);
  for (const [key, value] of Object.entries(table)) {
    const kind = Object.hasOwn(kinds, key) ? kinds[key] : undefined;
    if (!kind) throw wrong(`.${key} is not known; there are ${Object.keys(kinds).join(", ")}`, key);
    if (!kind[0](value)) throw wrong(`.${key} must be ${kind[1]}`, key);
  }
  const said = ["accept", "reject", "require"].filter((key) => table[key] !== undefined);
  if (said.length !== 1) throw wrong(` must have one of accept = true, reject = true, require = "digest", require = "signature"`);
  const kind = table.require ?? said[0];
  if (kind === "signature") {
    if (table.keys === undefined) throw wrong(" requires signatures and names no keys", "require");
    const signedAs = table["signed-as"] as string | undefined;
    const identity = (table.identity ?? "repository") as Identity;
    if (signedAs !== undefined && identity === "any") throw wrong('["signed-as"] is of no use with identity "any"', "signed-as");
    if (signedAs !== undefined && name.startsWith("*"))
      throw wrong('["signed-as"] needs a rule for one registry or a part of it', "signed-as");
    const line = lineOf(places, name, "keys");
    return { kind, keys: table.keys as string[], identity, line, ...(signedAs === undefined ? {} : { signedAs }) };
  }
  for (const key of ["keys", "identity", "signed-as"])
    if (table[key] !== undefined) throw wrong(`.${key} goes with require = "signature"`, key);
  return { kind: kind as "accept" | "reject" | "digest" };
};

/** The rules by the names they are for. `file` is its name for errors. Throws "policy_invalid" with the line. Pure. */
export const readPolicy = (text: string, file: string): Map<string, PolicyRule> => {
  try {
    const root = parseToml(text);
    for (const key of Object.keys(root))
      if (key !== "policy") throw new Error(`"${key}" is not known; there is [policy."registry.example"]`);
    const tables = root.policy ?? {};
    if (!isTable(tables)) throw new Error('"policy" must be tables: [policy."registry.example"]');
    const rules = new Map<string, PolicyRule>();
    const places = placesOf(text);
    for (const [name, table] of Object.entries(tables)) {
      const at = (): string => `line ${lineOf(places, name)}: policy.${JSON.stringify(name.slice(0, 200))}`;
      if (!rulePattern.test(name))
        throw new Error(`${at()} must be named as images are: "HOST", "HOST/PATH", "*.DOMAIN", or "*" for all others`);
      if (!isTable(table)) throw new Error(`${at()} must be a table`);
      rules.set(name, ruleOf(name, table, places));
    }
    return rules;
  } catch (error) {
    throw new OnggiError("policy_invalid", `${file}: ${messageOf(error)}`, { cause: error });
  }
};

/** Whether a rule's name is that of an image or of something it lies in. */
const covers = (name: string, { domain: asked, path }: Reference): boolean => {
  // host names know no capitals, and paths have none
  const [rule, domain] = [name.toLowerCase(), asked.toLowerCase()];
  if (rule === "*") return true;
  if (rule.startsWith("*.")) {
    const [suffix = "", ...rest] = rule.slice(1).split("/");
    return (
      domain.endsWith(suffix) &&
      domain.length > suffix.length &&
      (rest.length === 0 || `${path}/`.startsWith(`${rest.join("/")}/`))
    );
  }
  return `${domain}/${path}/`.startsWith(`${rule}/`);
};

/** The rule of the longest name that covers the image; one with a star counts after any without. */
export const ruleFor = (
  rules: ReadonlyMap<string, PolicyRule>,
  reference: Reference,
): { name: string; rule: PolicyRule } | null => {
  let best: { name: string; rule: PolicyRule } | null = null;
  const rank = (name: string): number => (name.startsWith("*") ? 0 : 1000) + name.length;
  for (const [name, rule] of rules)
    if (covers(name, reference) && (best === null || rank(name) > rank(best.name))) best = { name, rule };
  return best;
};

/** The repository an image of the rule is to be signed as. */
const signedName = (name: string, signedAs: string | undefined, { domain, path }: Reference): string | undefined =>
  signedAs === undefined ? undefined : `${signedAs}${`${domain}/${path}`.slice(name.length)}`;

const keysOf = (paths: readonly string[], where: string): PublicKey[] =>
  paths.map((path) => {
    try {
      return parsePublicKey(readFileSync(path, "utf8"), path);
    } catch (error) {
      throw new OnggiError("policy_invalid", `${where}: ${messageOf(error)}`, { cause: error });
    }
  });

/** The policy that a file says. */
export const openPolicy = (file = DEFAULT_POLICY): Policy => {
  const find = (reference: Reference) => {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch (error) {
      if ((error as { code?: unknown }).code === "ENOENT") return null;
      throw new OnggiError("policy_invalid", `${file}: ${messageOf(error)}`, { cause: error });
    }
    return ruleFor(readPolicy(text, file), reference);
  };
  const refuse = (reference: Reference, name: string, why: string): OnggiError =>
    new OnggiError("policy_refused", `${canonicalName(reference)}: ${file} ${why} (policy."${name}")`);
  const check = (reference: Reference): void => {
    const found = find(reference);
    if (found?.rule.kind === "reject") throw refuse(reference, found.name, "lets nothing come from there");
    if (found?.rule.kind === "digest" && !reference.digest)
      throw refuse(reference, found.name, "asks for a digest: name it NAME@sha256:...");
    // keys that cannot be read are told before anything is fetched
    if (found?.rule.kind === "signature") keysOf(found.rule.keys, `${file}: line ${found.rule.line}`);
  };
  return {
    check,
    admit: async (repositories, reference, digests, signal) => {
      check(reference);
      const found = find(reference);
      if (found?.rule.kind !== "signature") return;
      const { keys, identity, signedAs, line } = found.rule;
      const signed = signedName(found.name, signedAs, reference);
      const demand = {
        keys: keysOf(keys, `${file}: line ${line}`),
        identity,
        ...(signed === undefined ? {} : { signedAs: signed }),
      };
      let first: { readonly error: unknown } | undefined;
      for (const repository of repositories) {
        try {
          await verifyImage(repository, reference, digests, demand, signal);
          return;
        } catch (error) {
          signal?.throwIfAborted();
          first ??= { error };
        }
      }
      throw first?.error ?? new OnggiError("signature_missing", `${canonicalName(reference)}: there is nowhere to look`);
    },
  };
};
