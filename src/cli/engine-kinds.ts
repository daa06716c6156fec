/** Which values the settings of an engine take, as they are written in TOML and JSON. Pure. */
import { BlockList, isIP, isIPv4 } from "node:net";
import type { ClientRule } from "../api/rights/types.ts";
import { parseDuration } from "../lib/time.ts";
import { isTable } from "../lib/toml.ts";
import { parseBytes } from "../lib/units.ts";

export interface Kind<T> {
  /** Null for a value that it cannot have. */
  readonly read: (value: unknown) => T | null;
  readonly words: string;
}

const kind = <T>(words: string, read: (value: unknown) => T | null): Kind<T> => ({ words, read });

const isText = (value: unknown): value is string => typeof value === "string" && value !== "" && !/[\0\n]/.test(value);
export const isPath = (value: unknown): value is string => isText(value) && value.startsWith("/");

export const path = kind("an absolute path", (value) => (isPath(value) ? value : null));
export const text = (words: string): Kind<string> => kind(words, (value) => (isText(value) ? value : null));
export const matching = (pattern: RegExp, words: string): Kind<string> =>
  kind(words, (value) => (isText(value) && pattern.test(value) ? value : null));
export const boolean = kind("true or false", (value) => (typeof value === "boolean" ? value : null));

export const oneOf = <T extends string>(...words: readonly T[]): Kind<T> =>
  kind(words.map((word) => `"${word}"`).join(" or "), (value) => words.find((word) => word === value) ?? null);

/** A kind with more words that it takes. */
export const or = <T extends string>(word: T, other: Kind<string>): Kind<string> =>
  kind(`${other.words}, or "${word}"`, (value) => (value === word ? word : other.read(value)));

export const whole = (least: number, most: number): Kind<number> =>
  kind(`a whole number from ${least} to ${most}`, (value) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most ? (value as number) : null,
  );

export const list = <T>(of: Kind<T>, words: string): Kind<readonly T[]> =>
  kind(words, (value) => {
    if (!Array.isArray(value)) return null;
    const read = value.map((item) => of.read(item));
    return read.includes(null) ? null : (read as T[]);
  });

export const texts = (words: string): Kind<Readonly<Record<string, string>>> =>
  kind(words, (value) =>
    isTable(value) && Object.values(value).every((one) => typeof one === "string") ? strings(value) : null,
  );

const strings = (table: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(Object.entries(table).map(([name, value]) => [name, String(value)]));

export const paths = kind("an absolute path, or a list of them", (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isPath) ? value.join(":") : path.read(value),
);

const isHost = (value: unknown): value is string => isText(value) && /^tcp:\/\/[^,]+$/.test(value);
export const hosts = kind('"tcp://HOST:PORT", or a list of them', (value) =>
  Array.isArray(value) && value.length > 0 && value.every(isHost) ? value.join(",") : isHost(value) ? value : null,
);

export const seconds = kind("a number of seconds, at most 3600", (value) =>
  typeof value === "number" && value > 0 && value <= 3600 ? `${value}` : null,
);

export const address = kind("an IP address", (value) => (isText(value) && isIP(value) !== 0 ? value : null));
export const address4 = kind("an IPv4 address", (value) => (isText(value) && isIPv4(value) ? value : null));

const isPrefix = (value: unknown, family: (text: string) => boolean): value is string => {
  const [, base = "", bits = ""] = /^([^/\s]+)\/(\d{1,3})$/.exec(isText(value) ? value : "") ?? [];
  return family(base) && Number(bits) <= (isIPv4(base) ? 32 : 128);
};
const isAny = (text: string): boolean => isIP(text) !== 0;

/** "10.1.2.0/24", without bits beyond its length. */
export const prefix4 = kind('an IPv4 prefix, such as "10.1.2.0/24"', (value) => (isPrefix(value, isIPv4) ? value : null));
/** "10.1.2.1/24". */
export const interface4 = kind('an IPv4 address with its prefix length, such as "10.1.2.1/24"', prefix4.read);

/** Bytes: a number, or "64m". */
export const size = kind('a size in bytes, such as "64m"', (value) => {
  try {
    const bytes = typeof value === "number" ? value : parseBytes(String(value));
    return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
  } catch {
    return null;
  }
});

const limit = (value: unknown): number | null =>
  Number.isSafeInteger(value) && (value as number) >= -1 ? (value as number) : null;

/** By name { soft, hard }, also with Docker's capitals, or one number for both. */
export const ulimits = kind("a table of limits, such as nofile = { soft = 1024, hard = 4096 }", (value) => {
  if (!isTable(value)) return null;
  const found = Object.entries(value).map(([name, given]) => {
    const table = isTable(given) ? given : { soft: given, hard: given };
    const named = table.Name ?? table.name ?? name;
    const soft = limit(table.soft ?? table.Soft);
    const hard = limit(table.hard ?? table.Hard ?? table.soft ?? table.Soft);
    const known = Object.keys(table).every((key) => ["name", "soft", "hard"].includes(key.toLowerCase()));
    const fits = soft !== null && hard !== null && (hard === -1 || (soft !== -1 && soft <= hard));
    return known && fits && named === name && /^[a-z]+$/.test(name) ? { name, soft, hard } : null;
  });
  return found.includes(null) ? null : (found as { name: string; soft: number; hard: number }[]);
});

export const pools = kind('a list of pools, such as [{ base = "10.200.0.0/16", size = 24 }]', (value) => {
  if (!Array.isArray(value)) return null;
  const found = value.map((pool) =>
    isTable(pool) && isPrefix(pool.base, isAny) && Number.isInteger(pool.size) && Object.keys(pool).length === 2
      ? { base: pool.base, size: pool.size as number }
      : null,
  );
  return found.includes(null) ? null : (found as { base: string; size: number }[]);
});

const host = /^(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/;
export const registries = list(
  kind("", (value) => (isText(value) && (host.test(value) || isSubnet(value)) ? value : null)),
  "a list of HOST[:PORT] or prefixes of addresses",
);

/** One that the matching of addresses takes. */
function isSubnet(value: string): boolean {
  if (!isPrefix(value, isAny)) return false;
  const [base = "", bits = ""] = value.split("/");
  new BlockList().addSubnet(base, Number(bits), isIPv4(base) ? "ipv4" : "ipv6");
  return true;
}

export const mirrors = list(
  kind("", (value) => {
    if (!isText(value) || !/^https?:\/\/[^/?#@\s]+(?:\/[^?#\s]*)?$/.test(value) || !URL.canParse(value)) return null;
    return value;
  }),
  'a list of addresses, such as ["https://mirror.example"], without user, query or fragment',
);

export const labels = list(
  kind("", (value) => (isText(value) && /^[^=\s][^=]*=/.test(value) ? value : null)),
  'a list of labels, such as ["rack=7"]',
);

const driverOptions = texts("");
export const networkOptions = kind(
  'a table of options by driver, such as bridge = { "com.docker.network.driver.mtu" = "1400" }',
  (value) => {
    if (!isTable(value)) return null;
    const read = Object.entries(value).map(([driver, options]) => [driver, driverOptions.read(options)] as const);
    return read.some(([, options]) => options === null)
      ? null
      : (Object.fromEntries(read) as Record<string, Readonly<Record<string, string>>>);
  },
);

const duration = (value: unknown): number | null => {
  const nanoseconds = isText(value) ? parseDuration(value) : undefined;
  return nanoseconds ? Number(nanoseconds) / 1e9 : null;
};

/** Bytes and seconds. */
export const collection = kind(
  'a table of keep-storage = "20g", unused-for = "240h", every = "1h" and all = true',
  (value): { keepStorage?: number; unusedFor?: number; every?: number; all?: boolean } | null => {
    if (!isTable(value)) return null;
    const read = Object.entries(value).map(([name, given]): [string, unknown] => {
      if (name === "keep-storage") return ["keepStorage", size.read(given)];
      if (name === "unused-for") return ["unusedFor", duration(given)];
      if (name === "every") return ["every", duration(given)];
      return name === "all" ? ["all", boolean.read(given)] : [name, null];
    });
    return read.some(([, one]) => one === null) ? null : Object.fromEntries(read);
  },
);

export const proxies = kind("a table of http-proxy, https-proxy and no-proxy", (value) => {
  const read = texts("").read(value);
  return read && Object.keys(read).every((name) => ["http-proxy", "https-proxy", "no-proxy"].includes(name)) ? read : null;
});

const isId = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 32 - 1;

function clientOf(value: unknown): ClientRule | null {
  if (!isTable(value) || Object.keys(value).length !== 2) return null;
  const { role, uid, gid, certificate } = value;
  if (role !== "read" && role !== "operate" && role !== "admin") return null;
  if (isId(uid)) return { role, uid };
  if (isId(gid)) return { role, gid };
  return isText(certificate) ? { role, certificate } : null;
}

/** Who may do what. */
export const clients = kind(
  'a list of tables, each with a role ("read", "operate" or "admin") and one of uid, gid and certificate',
  (value) => {
    if (!Array.isArray(value)) return null;
    const rules = value.map(clientOf);
    return rules.includes(null) ? null : (rules as ClientRule[]);
  },
);
