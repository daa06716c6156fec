/** What a case of the conformance suite is; see conformance.ts. */
import type { Reference } from "./references.ts";

export interface Case {
  readonly name: string;
  /** Lowest first. */
  readonly layers: readonly Buffer[];
  /** Who extracts them rightly: GNU tar where there is one layer, umoci. */
  readonly by: readonly Reference[];
  /** Directories whose time the reference makes up: no entry made them, or something was put into them later. */
  readonly untimed?: readonly string[];
  /** Names that are in the reference's tree and, for the reason given, not in ours. */
  readonly without?: { readonly names: readonly string[]; readonly why: string };
  /** Attributes of the reference's tree that are not in ours. */
  readonly withoutAttributes?: RegExp;
}
