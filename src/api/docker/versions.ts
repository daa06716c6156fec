/** Versions of Docker's API: "1.41" is older than "1.5x". */

export const OLDEST = "1.24";
export const NEWEST = "1.54";

const minor = (version: string): number => Number(version.slice(2));

/** Whether `version` is `other` or newer. Both are of the form "1.N". */
export const isAtLeast = (version: string, other: string): boolean => minor(version) >= minor(other);
