import type { RestartPolicy } from "../api/control/types.ts";
import { UsageError } from "./errors.ts";

const names = ["no", "always", "unless-stopped", "on-failure", "on-unhealthy"] as const;

/** "always", "on-failure:3"; "" is "no". Throws UsageError. */
export function parseRestart(text: string): RestartPolicy {
  const [given = "", count, ...rest] = text.split(":");
  const refuse = (why: string): never => {
    throw new UsageError(`--restart "${text}": ${why}`);
  };
  if (count !== undefined && (rest.length > 0 || !/^[+-]?\d+$/.test(count)))
    refuse("invalid restart policy format: maximum retry count must be an integer");
  if (given === "" && count !== undefined) refuse("invalid restart policy format: no policy provided before colon");
  const name = names.find((one) => one === (given || "no"));
  if (name === undefined) return refuse(`invalid restart policy: unknown policy '${given}'; use one of ${names.join(", ")}`);
  return { name, maximumRetryCount: Number(count ?? 0) };
}
