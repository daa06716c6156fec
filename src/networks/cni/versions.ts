/** Versions of the CNI specification. Pure. */

/** All there are, oldest first. */
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type SpecVersion = (typeof VERSIONS)[number];

export const isSpecVersion = (text: unknown): text is SpecVersion => VERSIONS.some((version) => version === text);

export const isAtLeast = (version: SpecVersion, other: SpecVersion): boolean =>
  VERSIONS.indexOf(version) >= VERSIONS.indexOf(other);

/** Those of the given ones that we know, newest first. */
export const known = (versions: readonly string[]): SpecVersion[] =>
  VERSIONS.filter((version) => versions.includes(version)).reverse();
