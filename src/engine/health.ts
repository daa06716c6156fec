/**
 * Runs health checks: an exec in the container each time, killed with what it has started when it takes too long. A container that is
 * paused is not looked at. What becomes of its health is recorded, so the next engine goes on where this one ended.
 */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { goDuration, nowNs, rfc3339 } from "../lib/time.ts";
import type { ClientStreams } from "./attach.ts";
import type { Container } from "./container.ts";
import { type Context, inBackground, note } from "./context.ts";
import { startExec } from "./exec.ts";
import { type Check, judge, MOST_OUTPUT, probeCommand, untilNextCheck } from "./health-check.ts";
import { isAlive, killSession } from "./kill-session.ts";
import { describe } from "./list.ts";
import { endContainer } from "./stop.ts";
import type { HealthResult } from "./types.ts";

/** How often a paused container is looked at, in milliseconds. */
const PAUSED_MS = 1000;

/** Takes a check's output, both streams in one, as much as is kept. */
class Output {
  private readonly kept = Buffer.alloc(MOST_OUTPUT);
  private length = 0;
  private cut = false;

  write(data: Uint8Array): void {
    const room = MOST_OUTPUT - this.length;
    this.kept.set(data.subarray(0, room), this.length);
    this.length += Math.min(room, data.length);
    this.cut ||= data.length > room;
  }

  get text(): string {
    return `${this.kept.toString("utf8", 0, this.length)}${this.cut ? "..." : ""}`;
  }
}

const clientOf = (output: Output, signal: AbortSignal): ClientStreams => ({
  ...{ stdin: false, stdout: true, stderr: true, sigProxy: false, signal },
  output: (_, data) => output.write(data),
  input: (async function* () {})(),
  ...{ onResize: () => {}, onSignal: () => {}, onDetach: () => {} },
});

/** Waits for an exec of `pid` to end by itself; kills it after `ms` milliseconds in which the container was not paused. Whether in time. */
async function inTime(container: Container, pid: number, ended: Promise<unknown>, ms: number): Promise<boolean> {
  for (;;) {
    let timer: Timer | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), ms);
    });
    const first = await Promise.race([ended, late]).finally(() => clearTimeout(timer));
    if (first !== "late") return true;
    if (container.record.state.status === "paused") continue;
    killSession(pid);
    await ended;
    return false;
  }
}

/** One check. Throws `not_running` when the container has ended, `paused`, and what a shim that is let go of throws. */
async function probe(context: Context, container: Container, check: Check): Promise<HealthResult> {
  const { record } = container;
  const start = nowNs();
  const output = new Output();
  const done = new AbortController();
  const result = (exitCode: number, text: string): HealthResult => ({
    start: rfc3339(start),
    end: rfc3339(nowNs()),
    ...{ exitCode, output: text },
  });
  const shell = record.imageId === "" ? undefined : context.images.get(record.imageId).config.config.Shell;
  try {
    const request = { command: probeCommand(check, shell) };
    const numbered = (number: number) => {
      record.probing = number;
      note(context, record, false);
    };
    const exec = await startExec(context, container, request, clientOf(output, done.signal), { numbered });
    const { pid } = await exec.process.started;
    const ended = Promise.all([exec.exited, exec.served]);
    if (await inTime(container, pid, ended, check.timeout / 1e6)) return result(await exec.exited, output.text);
    const said = output.text === "" ? "" : `: ${output.text}`;
    return result(-1, `Health check exceeded timeout (${goDuration(check.timeout)})${said}`);
  } catch (error) {
    const refused = error instanceof OnggiError && !["not_running", "paused", "shim_gone"].includes(error.code);
    if (!refused) throw error;
    return result(-1, messageOf(error));
  } finally {
    done.abort();
  }
}

/** Its next check comes when it is due. */
function checkLater(context: Context, { record }: Container): void {
  const { health, healthcheck: check, state } = record;
  if (health && check) context.probes.after(record.id, untilNextCheck(health, check, state.startedAt, nowNs()));
}

/** Makes the check that is due, and sees to the next one. */
export async function checkHealth(context: Context, container: Container): Promise<void> {
  const { record, shim } = container;
  const { healthcheck: check } = record;
  if (!shim || !check || !record.health || !container.isUp || context.closing) return;
  if (record.state.status === "paused") return context.probes.after(record.id, Math.min(check.interval / 1e6, PAUSED_MS));
  const result = await probe(context, container, check).catch(() => undefined);
  if (container.shim !== shim || context.closing) return;
  // its end, which is about to be told, has ended the check
  if (result && (result.exitCode === 0 || isAlive(record.state.pid))) take(context, container, check, result);
  if (result) checkLater(context, container);
  else context.probes.after(record.id, PAUSED_MS); // it is paused, or its end is on the way and keeps this from happening
}

function take(context: Context, container: Container, check: Check, result: HealthResult): void {
  const { record } = container;
  const before = record.health;
  if (!before) return;
  record.health = judge(before, check, result, record.state.startedAt);
  record.probing = 0;
  note(context, record, false);
  const { status } = record.health;
  if (status === before.status) return;
  context.events.emit("container", `health_status: ${status}`, record.id, describe(record));
  if (status === "unhealthy" && record.request.restart?.name === "on-unhealthy")
    inBackground(context, `end ${record.name}, which is unhealthy`, () => endUnhealthy(context, container));
}

/** Its policy starts it again, with whatever it ends. */
async function endUnhealthy(context: Context, container: Container): Promise<void> {
  container.record.foundUnhealthy = true;
  note(context, container.record, false);
  await endContainer(context, container);
}
