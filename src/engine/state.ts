/**
 * The state machine of a container.
 *
 *     create          start            exit
 *    -------> created -----> running ------> exited
 *                              |  ^             |
 *                        pause |  | unpause     | start
 *                              v  |             v
 *                             paused         running
 *
 * A restart policy leads from running to restarting in place of exited: nothing of it runs, and its next start is to come. Nobody
 * has to start it, and it must be stopped before it can be removed.
 *
 * `lost` leads to dead: the shim vanished without saying how the container ended. A dead container can be started again or
 * removed. `remove` leads to removing, which only ends with the record gone; an engine that finds it at start finishes it.
 */
import { OnggiError } from "../lib/errors.ts";
import type { ContainerStatus } from "./types.ts";

export type Transition = "start" | "exit" | "lost" | "pause" | "unpause" | "remove" | "restart" | "giveUp";

/** The status a transition leads to, for each status it may begin in. What is not listed is not allowed. */
export const transitions: Readonly<Record<Transition, Readonly<Partial<Record<ContainerStatus, ContainerStatus>>>>> = {
  start: { created: "running", exited: "running", dead: "running", restarting: "running" },
  exit: { running: "exited", paused: "exited", created: "exited", exited: "exited", dead: "exited" },
  lost: { running: "dead", paused: "dead" },
  pause: { running: "paused" },
  unpause: { paused: "running" },
  restart: { running: "restarting", paused: "restarting", exited: "restarting", dead: "restarting" },
  giveUp: { restarting: "exited" },
  remove: { created: "removing", exited: "removing", dead: "removing", removing: "removing" },
};

const advice: Record<Transition, string> = {
  start: "only a container that is not running can be started",
  exit: "it has not run",
  lost: "it is not running",
  pause: "only a running container can be paused",
  unpause: "only a paused container can be unpaused",
  remove: "stop it first, or remove it with --force",
  restart: "it has not run",
  giveUp: "it is not restarting",
};

/** A container is not in a state that allows what was asked. */
export class WrongState extends OnggiError {
  readonly status: ContainerStatus;

  constructor(name: string, status: ContainerStatus, transition: Transition) {
    super("wrong_state", `cannot ${transition} container ${name}: it is ${status}; ${advice[transition]}`);
    this.status = status;
  }
}

/** The status after `transition`; throws WrongState where it is not allowed. */
export function next(name: string, status: ContainerStatus, transition: Transition): ContainerStatus {
  const target = transitions[transition][status];
  if (target === undefined) throw new WrongState(name, status, transition);
  return target;
}

/** Whether its process is there. */
export const isUp = (status: ContainerStatus): boolean => status === "running" || status === "paused";

/** Whether it is meant to run: it does, or its policy will start it. What Docker calls running. */
export const isActive = (status: ContainerStatus): boolean => isUp(status) || status === "restarting";
