import type { Mount } from "../project.ts";

/**
 * The short form of a mount: [SOURCE:]TARGET[:OPTION,...]. The source is a path if it begins with ".", "/" or "~", else a volume's
 * name. Throws Error with what is wrong. Source and target are as written.
 */
export function parseMount(spec: string): Mount {
  const fields = splitOutsideVariables(spec);
  if (fields.some((field) => field === "")) throw new Error(`"${spec}" has an empty part; write SOURCE:TARGET[:OPTIONS]`);
  if (fields.length > 3) throw new Error(`"${spec}" has too many colons; write SOURCE:TARGET[:OPTIONS], or the long form`);
  const [source, target] = fields.length === 1 ? [undefined, fields[0]!] : [fields[0], fields[1]!];
  const type = source !== undefined && /^[./~]/.test(source) ? "bind" : "volume";
  const mount: Mount = { type, ...(source === undefined ? {} : { source }), target };
  if (type === "bind") mount.bind = { create_host_path: true };
  else mount.volume = {};
  for (const option of fields[2]?.split(",") ?? []) apply(mount, option);
  return mount;
}

const PROPAGATIONS = new Set(["rprivate", "private", "rshared", "shared", "rslave", "slave"]);

/** Unknown options mean nothing, as with Docker. */
function apply(mount: Mount, option: string): void {
  if (option === "ro") mount.read_only = true;
  else if (option === "nocopy") mount.volume = { nocopy: true };
  else if (option === "z" || option === "Z") mount.bind = { ...mount.bind, selinux: option };
  else if (PROPAGATIONS.has(option)) mount.bind = { ...mount.bind, propagation: option };
}

/** At colons that are not between braces: variables that are not filled in hold some, as ${DATA:-./data}. */
export function splitOutsideVariables(text: string): string[] {
  const fields = [""];
  let depth = 0;
  for (const [index, letter] of [...text].entries()) {
    if (letter === "{" && index > 0) depth++;
    if (letter === "}" && depth > 0) depth--;
    if (letter === ":" && depth === 0) fields.push("");
    else fields[fields.length - 1] += letter;
  }
  return fields;
}
