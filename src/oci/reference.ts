/**
 * Image names: [domain/]path[:tag][@digest]. Source: the grammar of github.com/distribution/reference, and Docker's rules for
 * what may be left out: the domain docker.io, the path prefix "library/" there, the tag "latest".
 */
import { OnggiError } from "../lib/errors.ts";
import { type Digest, isDigest } from "./digest.ts";

export interface Reference {
  readonly domain: string;
  readonly path: string;
  readonly tag: string | null;
  readonly digest: Digest | null;
}

const DEFAULT_DOMAIN = "docker.io";
const LEGACY_DOMAIN = "index.docker.io";
const DEFAULT_TAG = "latest";
const LIBRARY = "library/";
const MAX_REPOSITORY = 255;

const domainPart = /^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])$/;
const port = /^[0-9]+$/;
const ipv6 = /^\[[0-9a-fA-F:]+\]$/;
const component = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;

export const isTag = (text: unknown): text is string => typeof text === "string" && tagPattern.test(text);

const invalid = (text: string, why: string): OnggiError =>
  new OnggiError(
    "reference_invalid",
    `"${text}" is not an image name: ${why}. Names look like [domain/]path[:tag], in lower case`,
  );

const isDomain = (text: string): boolean => {
  const match = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/.exec(text);
  if (!match || (match[2] !== undefined && !port.test(match[2]))) return false;
  const host = match[1]!;
  return ipv6.test(host) || host.split(".").every((part) => domainPart.test(part));
};

/** Splits the first component off where it can only be a registry: it has a dot, a port, capitals, or is "localhost". */
const splitDomain = (name: string): [domain: string, path: string] => {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  if (slash < 0 || !(/[.:[]/.test(first) || first === "localhost" || first !== first.toLowerCase()))
    return [DEFAULT_DOMAIN, name];
  return [first === LEGACY_DOMAIN ? DEFAULT_DOMAIN : first, name.slice(slash + 1)];
};

/** Reads a name as people write it. Without tag and digest, both are null. Throws "reference_invalid". */
export const parseReference = (text: string): Reference => {
  let rest = text;
  let digest: Digest | null = null;
  const at = rest.indexOf("@");
  if (at >= 0) {
    const after = rest.slice(at + 1);
    if (!isDigest(after)) throw invalid(text, "after @ a sha256 digest is expected");
    digest = after;
    rest = rest.slice(0, at);
  }
  let tag: string | null = null;
  const colon = rest.lastIndexOf(":");
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    if (!tagPattern.test(tag))
      throw invalid(text, `the tag "${tag.slice(0, 130)}" has characters that no tag may have, or too many`);
    rest = rest.slice(0, colon);
  }
  if (rest === "") throw invalid(text, "it is empty");
  if (isDigest(`sha256:${text}`)) throw invalid(text, "64 hexadecimal digits are an id");
  let [domain, path] = splitDomain(rest);
  if (!isDomain(domain)) throw invalid(text, `"${domain}" is not a registry's host name`);
  if (!path.split("/").every((part) => component.test(part)))
    throw invalid(text, "the path has an empty component or a character that is not allowed");
  if (domain === DEFAULT_DOMAIN && !path.includes("/")) path = LIBRARY + path;
  if (domain.length + 1 + path.length > MAX_REPOSITORY) throw invalid(text, `it is longer than ${MAX_REPOSITORY} characters`);
  return { domain, path, tag, digest };
};

const suffix = ({ tag, digest }: Reference): string => `${tag ? `:${tag}` : ""}${digest ? `@${digest}` : ""}`;

/** "docker.io/library/busybox:latest": everything written out; a name without tag and digest gets the tag latest. */
export const canonicalName = (reference: Reference): string => {
  const tagged = reference.tag || reference.digest ? reference : { ...reference, tag: DEFAULT_TAG };
  return `${tagged.domain}/${tagged.path}${suffix(tagged)}`;
};

/** "busybox:latest": as short as it can be without meaning another image. */
export const familiarName = (reference: Reference): string => {
  const tagged = reference.tag || reference.digest ? reference : { ...reference, tag: DEFAULT_TAG };
  const { domain, path } = tagged;
  if (domain !== DEFAULT_DOMAIN) return `${domain}/${path}${suffix(tagged)}`;
  const short = path.startsWith(LIBRARY) ? path.slice(LIBRARY.length) : path;
  // A short form that would be read as something else stays long.
  if (splitDomain(path)[0] !== DEFAULT_DOMAIN) return `${domain}/${path}${suffix(tagged)}`;
  return `${short.includes("/") ? path : short}${suffix(tagged)}`;
};

const HUB_NAMES: ReadonlySet<string> = new Set([DEFAULT_DOMAIN, LEGACY_DOMAIN, "registry-1.docker.io"]);

/** The registry that a key of credentials means: "https://registry.example/v1/" is "registry.example", whoever wrote it. */
export const registryOf = (key: string): string => {
  const host = key.replace(/^https?:\/\//, "").split("/", 1)[0]!;
  return HUB_NAMES.has(host) ? DEFAULT_DOMAIN : host;
};

/**
 * What is searched for, and where: "[domain/]term", split as a name is. Docker Hub's index knows its own images without "library/".
 * Throws "invalid_search".
 */
export const parseSearchTerm = (text: string): { domain: string; term: string } => {
  const wrong = (why: string) => new OnggiError("invalid_search", `"${text.slice(0, 200)}" cannot be searched for: ${why}`);
  if (text.includes("://")) throw wrong("a registry is written without a scheme, as in registry.example/term");
  const [domain, term] = splitDomain(text);
  if (!isDomain(domain)) throw wrong(`"${domain}" is not a registry's host name`);
  return { domain, term: domain === DEFAULT_DOMAIN && term.startsWith(LIBRARY) ? term.slice(LIBRARY.length) : term };
};
