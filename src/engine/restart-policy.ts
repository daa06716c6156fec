/**
 * Restart policies, as Docker has them: whether a container whose process has ended is started again, and after how long.
 *
 * It waits 100 ms before the first start, twice as long before each further one, at most a minute; a run of ten seconds begins
 * anew. Somebody who stops it keeps it down: until it is started, and with `always` until the engine is.
 */
import { OnggiError } from "../lib/errors.ts";
import type { ContainerRecord } from "./database.ts";
import type { ContainerRequest, RestartPolicy } from "./types.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 60_000;
/** A run of this length was a success, whatever its end. */
const LONG_RUN_MS = 10_000;

const NAMES = ["no", "always", "unless-stopped", "on-failure", "on-unhealthy"];

/** Throws "invalid_restart_policy" for what no policy is, or what does not go with the rest of a request. */
export function checkRestart(policy: RestartPolicy | undefined, { autoRemove }: Pick<ContainerRequest, "autoRemove">): void {
  if (!policy) return;
  const { name, maximumRetryCount: most } = policy;
  const refuse = (why: string): never => {
    throw new OnggiError("invalid_restart_policy", `invalid restart policy: ${why}`);
  };
  if (!NAMES.includes(name)) refuse(`unknown policy '${name}'; use one of ${NAMES.map((one) => `'${one}'`).join(", ")}`);
  if (!Number.isSafeInteger(most) || most < 0) refuse("maximum retry count cannot be negative");
  if (most > 0 && !name.startsWith("on-")) refuse("maximum retry count can only be used with 'on-failure' and 'on-unhealthy'");
  if (name !== "no" && autoRemove) refuse("conflicting options: cannot specify both --restart and --rm");
}

/** What its policy looks at. */
export type Restartable = Pick<
  ContainerRecord,
  "request" | "restartCount" | "restartDelayMs" | "stoppedByHand" | "foundUnhealthy"
>;

/** What is to become of a container that has ended: how long until it starts again, and what to remember; null: it stays down. */
export function afterExit(
  { request, restartCount = 0, restartDelayMs = 0, stoppedByHand, foundUnhealthy = false }: Restartable,
  { exitCode, ranMs }: { readonly exitCode: number; readonly ranMs: number },
): { restartCount: number; restartDelayMs: number } | null {
  const { restart } = request;
  if (!restart || stoppedByHand || !wants(restart, exitCode !== 0 || foundUnhealthy, restartCount)) return null;
  const before = ranMs >= LONG_RUN_MS ? 0 : restartDelayMs;
  const delay = before === 0 ? FIRST_DELAY_MS : Math.min(before * 2, LONGEST_DELAY_MS);
  return { restartCount: restartCount + 1, restartDelayMs: delay };
}

function wants({ name, maximumRetryCount: most }: RestartPolicy, failed: boolean, count: number): boolean {
  if (name === "on-failure" || name === "on-unhealthy") return failed && (most === 0 || count < most);
  return name === "always" || name === "unless-stopped";
}

/** Whether an engine that starts starts a container that it finds ended. One whose end it finds out about has had its turn. */
export function atEngineStart({ request: { restart }, stoppedByHand }: Restartable): boolean {
  return restart?.name === "always" || (restart?.name === "unless-stopped" && !stoppedByHand);
}
