import type { DriverRequest } from "../api/control/types.ts";
import { omitAbsent } from "../lib/tables.ts";
import { UsageError } from "./errors.ts";

/** Fields between commas; one in double quotes keeps its own, and a doubled quote is one. Undefined for a quote without an end. */
function csvFields(text: string): string[] | undefined {
  if (!/^(?:"(?:[^"]|"")*"|[^",]*)(?:,(?:"(?:[^"]|"")*"|[^",]*))*$/.test(text)) return undefined;
  const fields = text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^",]*))/g);
  return [...fields].map(([, quoted, plain = ""]) => quoted?.replaceAll('""', '"') ?? plain);
}

/** `--gpus` as Docker reads it: "all", "2", "device=0", '"device=0,1"', "count=1,capabilities=utility". Throws UsageError. */
export function parseGpus(given: string, flag: string): DriverRequest {
  const refuse = (problem: string): never => {
    throw new UsageError(`${flag} '${given}': ${problem}; write all, a number, or device=ID, as in '"device=0,1"'`);
  };
  const seen = new Map<string, string>();
  for (const field of csvFields(given) ?? refuse("a quote has no end")) {
    const [key = "", value] = field.split(/=(.*)/s);
    const name = value === undefined ? "count" : key;
    if (!["driver", "count", "device", "capabilities", "options"].includes(name)) refuse(`there is no ${JSON.stringify(name)}`);
    if (seen.has(name)) refuse(`${name} is there twice`);
    seen.set(name, value ?? key);
  }
  const device = seen.get("device");
  const count = seen.get("count") ?? (device === undefined ? "1" : undefined);
  if (count !== undefined && !/^(?:all|-1|\d{1,9})$/.test(count)) refuse(`"${count}" is neither all nor a number`);
  const options = csvFields(seen.get("options") ?? "") ?? refuse("a quote of options has no end");
  const pairs = options.filter((pair) => pair !== "").map((pair) => pair.split(/=(.*)/s));
  return omitAbsent({
    driver: seen.get("driver") || undefined,
    count: count === undefined ? undefined : count === "all" ? -1 : Number(count),
    ids: device?.split(","),
    capabilities: [[...(seen.get("capabilities")?.split(",") ?? []), "gpu"]],
    options: pairs.length > 0 ? Object.fromEntries(pairs.map(([key = "", value = ""]) => [key, value])) : undefined,
  });
}
