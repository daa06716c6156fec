import type { Caller } from "../api/control/client.ts";
import type { AnyNetwork, ContainerStatus, ContainerSummary, VolumeInfo } from "../api/control/types.ts";
import { label, ofProject } from "./labels.ts";

/** What there is of a project, whoever made it. */

export interface ObservedContainer {
  readonly id: string;
  readonly name: string;
  readonly service: string;
  /** 0 for those of `run`. */
  readonly number: number;
  readonly oneoff: boolean;
  readonly state: ContainerStatus;
  readonly hash: string;
  /** Of the image it was made from. */
  readonly imageId: string;
  /** Names of its networks. */
  readonly networks: readonly string[];
  /** It was made to take another's place. */
  readonly replaces: boolean;
  readonly summary: ContainerSummary;
}

export interface Observed {
  readonly containers: readonly ObservedContainer[];
  readonly networks: readonly AnyNetwork[];
  readonly volumes: readonly VolumeInfo[];
}

export function observedOf(summary: ContainerSummary): ObservedContainer {
  const { id, names, labels, state, imageId, networks } = summary;
  return {
    ...{ id, state, networks, summary },
    name: names[0] ?? id,
    service: labels[label.service] ?? "",
    number: Number(labels[label.number] ?? 0),
    oneoff: labels[label.oneoff] === "True",
    hash: labels[label.hash] ?? "",
    imageId: labels[label.image] || imageId,
    replaces: label.replace in labels,
  };
}

export const isUp = ({ state }: ObservedContainer): boolean =>
  state === "running" || state === "paused" || state === "restarting";

export interface ContainerQuery {
  /** Only those of these services; empty: all. */
  readonly services?: readonly string[];
  /** Those that do not run, too. */
  readonly all?: boolean;
  /** Those of `run`, too, or alone. */
  readonly oneoff?: "with" | "only";
}

/** A project's containers, by service and number. */
export async function containersOf(call: Caller, project: string, query: ContainerQuery = {}): Promise<ObservedContainer[]> {
  const { services = [], all = false, oneoff } = query;
  const { containers } = await call("list", { ...(all ? { all } : {}), filters: ofProject(project, label.hash) });
  return containers
    .map(observedOf)
    .filter((container) => (services.length === 0 || services.includes(container.service)) && wantsOneoff(container, oneoff))
    .sort((a, b) => compare(a.service, b.service) || a.number - b.number || compare(a.name, b.name));
}

const wantsOneoff = (container: ObservedContainer, oneoff: ContainerQuery["oneoff"]): boolean =>
  oneoff === "with" || container.oneoff === (oneoff === "only");

export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** All networks and volumes: one that has the right name may be of no project. */
export async function observe(call: Caller, project: string): Promise<Observed> {
  const [containers, { networks }, { volumes }] = await Promise.all([
    containersOf(call, project, { all: true }),
    call("networkList", {}),
    call("volumes", {}),
  ]);
  return { containers, networks, volumes };
}
