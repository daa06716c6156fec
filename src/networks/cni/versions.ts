/** Versions of the CNI specification. Pure. */

/** All there are, oldest first. */
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

export type SpecVersion = (typeof VERSIONS)[number];

export const isSpecVersion = (text: unknown): text is SpecVersion => VERSIONS.some((version) => version === text);

export const isAtLeast = (version: SpecVersion, other: SpecVersion): boolean =>
  VERSIONS.indexOf(version) >= VERSIONS.indexOf(other);

/** The newest one of those given that we know; undefined if we know none. */
export const newestKnown = (versions: readonly string[]): SpecVersion | undefined =>
  VERSIONS.findLast((version) => versions.includes(version));
