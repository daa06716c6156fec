import { messageOf } from "../lib/errors.ts";
import { compile, toJson } from "../lib/template.ts";
import { type Context, line } from "./context.ts";
import { unescapeFormat } from "./listing.ts";

/**
 * Prints what `find` gives for each name: as a JSON list, or each by a Go template. What is not found is told at the end; the exit
 * code is then 1.
 */
export async function inspectObjects(
  context: Context,
  names: readonly string[],
  format: string | undefined,
  find: (name: string) => Promise<object>,
): Promise<number> {
  // a mistake in the template is told before anything is asked
  const template = format === undefined || format === "json" ? undefined : compile(unescapeFormat(format));
  const found: object[] = [];
  const failures: unknown[] = [];
  for (const name of names) {
    try {
      found.push(await find(name));
    } catch (error) {
      failures.push(error);
    }
  }
  if (format === undefined) await line(context.stdout, found.length === 0 ? "[]" : JSON.stringify(found, null, 4));
  else for (const object of found) await line(context.stdout, template ? template(object) : toJson(object));
  for (const failure of failures) await line(context.stderr, `onggi: ${messageOf(failure)}`);
  return failures.length > 0 ? 1 : 0;
}
