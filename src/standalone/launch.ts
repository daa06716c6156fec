/** Carries a plan out by the front, up to the point where its process has been created. */

import type { OneShot } from "../native/oneshot.ts";
import { encode } from "../plan/encode.ts";
import { event, type Plan } from "../plan/ops.ts";
import { O } from "../sys/constants.ts";
import { close, open } from "../sys/file.ts";
import { failureOf } from "./failure.ts";

export interface LaunchHandlers {
  /** The process is there, in its namespaces, and waits. */
  born?(pid: number): void;
  /** Everything is mounted; it waits before it enters its root. */
  mounted?(pid: number): void;
  /** It is filtered, and waits for `listener` to be with the agent. */
  filtered?(pid: number, listener: number): void;
}

export interface Created {
  readonly pid: number;
  /** The terminal's master; the caller closes it. */
  readonly master: number | null;
}

/**
 * Returns when the process stands at `created`. `passed` stay the caller's. Throws OnggiError for a plan that failed; what a
 * handler throws ends the process too, when the front ends.
 */
export function launch(front: OneShot, plan: Plan, passed: readonly number[], handlers: LaunchHandlers): Created {
  // The front keeps no state. A directory in its place would be inherited by the process until execve: it would keep the lock, and
  // show the host's tree to whoever may look at it.
  const none = open("/dev/null", O.O_PATH);
  try {
    front.launch(encode(plan), [none, ...passed]);
  } finally {
    close(none);
  }
  for (;;) {
    const answer = front.next();
    switch (answer.type) {
      case "event":
        try {
          if (answer.event === event.born) handlers.born?.(answer.pid);
          else if (answer.event === event.mounted) handlers.mounted?.(answer.pid);
          else if (answer.event === event.filtered && answer.fd !== null) handlers.filtered?.(answer.pid, answer.fd);
        } finally {
          if (answer.fd !== null) close(answer.fd);
        }
        front.go();
        break;
      case "created":
        return answer;
      case "failed":
        throw failureOf(plan, answer.failure);
      case "started":
      case "exit":
        break; // of no process that has been created
    }
  }
}

/** Lets a created process go on to execve, and returns when that has succeeded. */
export function release(front: OneShot, plan: Plan, handlers: LaunchHandlers = {}): void {
  front.go();
  for (;;) {
    const answer = front.next();
    if (answer.type === "started") return;
    if (answer.type === "failed") throw failureOf(plan, answer.failure);
    if (answer.type !== "event") continue;
    if (answer.event === event.filtered && answer.fd !== null) handlers.filtered?.(answer.pid, answer.fd);
    if (answer.fd !== null) close(answer.fd);
    front.go();
  }
}

/** Waits for the end of the process; returns its exit code. */
export function waitExit(front: OneShot): number {
  for (;;) {
    const answer = front.next();
    if (answer.type === "exit") return answer.exitCode;
  }
}
