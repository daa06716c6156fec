import { dirname, join, posix, relative } from "node:path";
import { OnggiError } from "../../lib/errors.ts";
import { IgnorePatterns } from "../../lib/ignore-patterns.ts";
import type { Project, Service, WatchRule } from "../project.ts";

/** One rule of a service's develop.watch, ready to be asked. */
export interface Trigger {
  readonly service: Service;
  readonly rule: WatchRule;
  /** Whether the rule is about a path of the host. Absolute. */
  covers(path: string): boolean;
  /** Where in the container the file at this path is put. */
  targetOf(path: string): string;
}

/** What editors and version control leave beside files; nobody wants it in a container. */
const EPHEMERAL = [
  "**/.git",
  "**/.hg",
  "**/.idea",
  "**/*~",
  "**/.*.sw?",
  "**/.*.swpx",
  "**/4913",
  "**/.#*",
  "**/#*#",
  "**/.DS_Store",
];

/**
 * The rules of the services, in the order of the files. `ignoreFile` reads a .dockerignore, undefined if there is none; `isDirectory`
 * tells what a rule's path is. Throws OnggiError `no_watch_rules`.
 */
export async function triggersOf(
  project: Project,
  services: readonly string[],
  ignoreFile: (path: string) => Promise<string | undefined>,
  isDirectory: (path: string) => boolean,
  warn: (message: string) => void,
): Promise<Trigger[]> {
  const triggers: Trigger[] = [];
  for (const service of Object.values(project.services)) {
    if (services.length > 0 && !services.includes(service.name)) continue;
    const context = service.build?.context;
    const ignored = context === undefined ? undefined : await ignoreFile(join(context, ".dockerignore"));
    for (const rule of service.develop?.watch ?? []) {
      if (isMounted(service, rule)) {
        warn(`path ${rule.path} is also mounted into service ${service.name}: it is not watched`);
        continue;
      }
      const whole = new IgnorePatterns(ignored?.split("\n") ?? []);
      triggers.push(
        triggerOf(
          service,
          rule,
          isDirectory(rule.path),
          (path) => context !== undefined && within(context, path) !== undefined && whole.matches(within(context, path)!),
        ),
      );
    }
  }
  if (triggers.length > 0) return triggers;
  throw new OnggiError(
    "no_watch_rules",
    "none of the selected services is configured for watch; give one a develop.watch with a path and an action",
  );
}

const isMounted = (service: Service, { path }: WatchRule): boolean =>
  (service.volumes ?? []).some(
    ({ type, source }) => type === "bind" && source !== undefined && within(source, path) !== undefined,
  );

/** `path` relative to `directory`, "" for the directory itself; undefined if it is not in it. */
function within(directory: string, path: string): string | undefined {
  const inside = relative(directory, path);
  return inside === ".." || inside.startsWith("../") ? undefined : inside;
}

function triggerOf(
  service: Service,
  rule: WatchRule,
  isDirectory: boolean,
  ignoredByContext: (path: string) => boolean,
): Trigger {
  const ignored = new IgnorePatterns([...EPHEMERAL, ...(rule.ignore ?? [])]);
  const included = rule.include === undefined ? undefined : new IgnorePatterns(rule.include);
  return {
    service,
    rule,
    covers(path) {
      if (!isDirectory) return path === rule.path;
      const inside = within(rule.path, path);
      if (inside === undefined || inside === "" || ignored.matches(inside) || ignoredByContext(path)) return false;
      return included === undefined || included.matches(inside);
    },
    targetOf(path) {
      const target = rule.target ?? "/";
      if (!isDirectory) return target.endsWith("/") ? posix.join(target, relative(dirname(path), path)) : target;
      return posix.join(target, within(rule.path, path) ?? "");
    },
  };
}
