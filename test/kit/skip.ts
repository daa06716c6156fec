/**
 * What a test could not do here, said so that nobody reads a green line as more than it is: each reason is printed once, and
 * appended to the file ONGGI_SKIPS names, from which `scripts/test-root` prints the count at the end.
 */
import { appendFileSync } from "node:fs";

const said = new Set<string>();

/** Prints why something is not tested on this machine. */
export function skipLoudly(reason: string): void {
  if (said.has(reason)) return;
  said.add(reason);
  process.stderr.write(`\nSKIPPED: ${reason}\n`);
  const file = process.env.ONGGI_SKIPS;
  if (file) appendFileSync(file, `${reason}\n`);
}

export const skips = (): readonly string[] => [...said];
