import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { messageOf } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";
import { dropInNames } from "./units/drop-ins.ts";
import { otherTypes, unitTypes } from "./units/keys.ts";
import type { UnitText } from "./units/source.ts";
import { type Service, translate } from "./units/translate.ts";

/** Where unit files are; of two with one name the first counts. */
const OWN = ["/run/onggi/systemd", "/etc/onggi/systemd", "/usr/share/onggi/systemd"];
const PODMANS = ["/run/containers/systemd", "/etc/containers/systemd", "/usr/share/containers/systemd"];
/** Who makes services of Podman's own: then those are none of ours. */
const PODMANS_GENERATOR = "system-generators/podman-system-generator";

export const command = define({
  usage: "[flags] [DIRECTORY DIRECTORY DIRECTORY]",
  summary: "make services of systemd of .container files and the like",
  flags: { "dry-run": bool("", "print them", { aliases: ["dryrun"] }) },
  args: [0, 3],
  examples: [["system generator --dry-run", "what systemctl daemon-reload would make"]],
  run: (context, values, directories) => generate(context, directories, values["dry-run"] ?? false),
});

/** systemd.generator(7): writes to the first directory. What is wrong is said, and does not keep the others from being made. */
export async function generate(context: Context, directories: readonly string[], dryRun: boolean): Promise<number> {
  const [target] = directories;
  if (!dryRun && target === undefined) throw new UsageError("give the directory that services are written to, or --dry-run");
  const units = unitsIn(searchPath(context.env));
  const { services, problems } = translate(units, [programOf(context)]);
  for (const service of services) {
    if (dryRun) await context.stdout.write(`---${service.name}---\n${service.text}${linkLines(service)}\n`);
    else write(target as string, service, problems as string[]);
  }
  for (const problem of problems) await line(context.stderr, `onggi-generator: ${problem}`);
  return problems.length === 0 ? 0 : 1;
}

/** The command line, as services call it: where it is installed, else as this process was. */
const programOf = ({ env }: Context): string => env.ONGGI_UNIT_PROGRAM || process.execPath;

const linkLines = ({ links }: Service): string => links.map((link) => `# link: ${link}\n`).join("");

function searchPath(env: Context["env"]): string[] {
  const named = env.ONGGI_UNIT_DIRS || env.QUADLET_UNIT_DIRS;
  if (named) return named.split(":").filter((path) => path !== "");
  const hasPodmans = ["/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"].some((directory) =>
    entryAt(join(directory, PODMANS_GENERATOR)),
  );
  return hasPodmans ? OWN : [...OWN, ...PODMANS];
}

const entryAt = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false }) !== undefined;

const isUnit = (name: string): boolean => {
  const type = name.split(".").at(-1) ?? "";
  return Object.hasOwn(unitTypes, type) || Object.hasOwn(otherTypes, type);
};

function unitsIn(directories: readonly string[]): UnitText[] {
  const found = new Map<string, string>();
  for (const directory of directories)
    for (const name of list(directory)) if (isUnit(name) && !found.has(name)) found.set(name, join(directory, name));
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([name, path]) => read(name, path, directories));
}

const list = (directory: string): string[] => {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
};

/** One that cannot be read says so as its text's first line, which is no unit's. */
function read(name: string, path: string, directories: readonly string[]): UnitText[] {
  const textOf = (file: string): string => {
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      return `cannot be read: ${messageOf(error)}`;
    }
  };
  if (lstatSync(path).isDirectory()) return [];
  const files = new Map<string, string>();
  for (const folder of dropInNames(name)) {
    for (const directory of directories.toReversed())
      for (const entry of list(join(directory, folder)))
        if (entry.endsWith(".conf")) files.set(entry, join(directory, folder, entry));
  }
  const dropIns = [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => ({ path: file, text: textOf(file) }));
  return [{ name, path, text: textOf(path), dropIns }];
}

function write(target: string, { name, text, links }: Service, problems: string[]): void {
  try {
    writeFileSync(join(target, name), text);
    for (const link of links) {
      const at = join(target, link);
      mkdirSync(dirname(at), { recursive: true });
      if (!entryAt(at)) symlinkSync(relative(dirname(at), join(target, name)), at);
    }
  } catch (error) {
    problems.push(`${name}: ${messageOf(error)}`);
  }
}
