/** The OCI runtime under test: `dist/onggi-runtime`, or the program ONGGI_RUNTIME names, such as Debian's /usr/sbin/runc. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { repository } from "./engine.ts";

export const ociRuntime: string = resolve(process.env.ONGGI_RUNTIME ?? join(repository, "dist/onggi-runtime"));

/** Its path; throws when it is not there. */
export function requireRuntime(): string {
  if (!existsSync(ociRuntime)) throw new Error(`${ociRuntime} is not there: make build, or set ONGGI_RUNTIME`);
  return ociRuntime;
}
