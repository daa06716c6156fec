/** What the escape tests of the OCI runtime share: the most powerful container that has no user namespace, and attack programs. */
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { compileProgram } from "../../kit/attack.ts";
import { availableCapabilities, type Bundle } from "../../kit/bundle.ts";
import { repository } from "../../kit/engine.ts";
import { allCapabilities, type Change } from "../../kit/oci-spec.ts";

/** Root of the host's own user namespace with every capability, no seccomp filter. Masked and read-only paths stay. */
export const powerful: Change = allCapabilities(availableCapabilities);

/** Compiles test/FOLDER/NAME.c and puts it into a bundle's /bin. */
export function install(bundle: Bundle, name: string, folder: "escape" | "oci/escape" = "escape"): void {
  const program = compileProgram(join(repository, "test", folder, `${name}.c`));
  mkdirSync(join(bundle.rootfs, "bin"), { recursive: true });
  copyFileSync(program, join(bundle.rootfs, "bin", name));
}

/** Reads a file of the host by every way up that a leaked directory would open. */
export const climb = (secret: string): string =>
  `cat ${secret} ..${"/..".repeat(12)}${secret} .${secret} /proc/1/root${secret} /proc/self/fd/*${secret} 2>/dev/null; echo tried`;
