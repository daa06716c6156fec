/**
 * Watching: files of the host are kept the same in a project's containers, and what is to happen when they change happens
 * (develop.watch, Develop Specification).
 *
 * A **trigger** is one rule of one service (rules.ts). Changes of files (changes.ts) come many at once; those a trigger covers are
 * brought into each running container of the service as a tar, what is gone is removed there (sync.ts), then commands are run and
 * containers started again, once for each service. What fails is told, and watching goes on.
 */

import { statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { runHooks } from "../hooks.ts";
import { codeOf, type Host } from "../host.ts";
import { restartProject } from "../lifecycle.ts";
import { containersOf, type ObservedContainer } from "../observe.ts";
import type { Project } from "../project.ts";
import { Changes } from "./changes.ts";
import { type Trigger, triggersOf } from "./rules.ts";
import { sync, syncedOf } from "./sync.ts";

export interface WatchOptions {
  /** Empty: all that have rules. */
  readonly services: readonly string[];
  /** Told in words of what is done. */
  say(text: string): void;
}

/** Watches until the host's signal is aborted. Throws OnggiError `no_watch_rules`, `path_not_found`. */
export async function watchProject(host: Host, project: Project, { services, say }: WatchOptions): Promise<void> {
  const triggers = await triggersOf(project, services, ignoreFile, isDirectory, (message) => host.warn(message));
  const failed = Promise.withResolvers<never>();
  let last: Promise<void> = Promise.resolve();
  const watched = [...new Set(triggers.map(({ rule }) => rule.path))].map((path) => ({ path, isDirectory: isDirectory(path) }));
  const changes = new Changes(
    watched,
    (paths) => {
      last = last.then(() => handle(host, project, triggers, paths, say)).catch((error: unknown) => failed.reject(error));
    },
    (path, error) => failed.reject(new OnggiError("watch_failed", `${path} can be watched no longer: ${error.message}`)),
  );
  try {
    for (const trigger of triggers) if (trigger.rule.initial_sync) await initialSync(host, project, trigger, say);
    say("Watch enabled");
    await Promise.race([failed.promise, aborted(host.signal)]);
  } finally {
    changes.close();
    await last;
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    throw new OnggiError("path_not_found", `${path} cannot be watched: ${messageOf(error)}`);
  }
}

async function ignoreFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(String(codeOf(error)))) return undefined;
    throw error;
  }
}

const running = async (host: Host, project: Project, service: string): Promise<ObservedContainer[]> =>
  (await containersOf(host.call, project.name, { services: [service] })).filter(({ state }) => state === "running");

async function initialSync(host: Host, project: Project, trigger: Trigger, say: (text: string) => void): Promise<void> {
  if (!trigger.rule.action.startsWith("sync")) return;
  const synced = syncedOf(trigger, [trigger.rule.path]);
  if (synced.put.size === 0) return;
  say(`Syncing service "${trigger.service.name}" with ${synced.put.size} files of ${trigger.rule.path}`);
  for (const { id } of await running(host, project, trigger.service.name)) await sync(host, id, synced);
}

/** What is to happen after these paths have changed. */
async function handle(
  host: Host,
  project: Project,
  triggers: readonly Trigger[],
  paths: ReadonlySet<string>,
  say: (text: string) => void,
): Promise<void> {
  const hit = triggers.flatMap((trigger) => {
    const covered = [...paths].filter((path) => trigger.covers(path));
    return covered.length === 0 ? [] : [{ trigger, covered }];
  });
  for (const [service, hits] of Map.groupBy(hit, ({ trigger }) => trigger.service.name)) {
    if (host.signal.aborted) return;
    try {
      await act(host, project, service, hits, say);
    } catch (error) {
      if (!host.signal.aborted) say(`service "${service}": ${messageOf(error)}`);
    }
  }
}

interface Hit {
  trigger: Trigger;
  covered: string[];
}

async function act(
  host: Host,
  project: Project,
  service: string,
  hits: readonly Hit[],
  say: (text: string) => void,
): Promise<void> {
  const containers = await running(host, project, service);
  for (const { trigger, covered } of hits) {
    if (!trigger.rule.action.startsWith("sync")) continue;
    say(`Syncing service "${service}" after ${covered.length} changes were detected`);
    const synced = syncedOf(trigger, covered);
    for (const { id } of containers) await sync(host, id, synced);
  }
  for (const { rule } of hits.map(({ trigger }) => trigger)) {
    if (rule.action === "sync+exec" && rule.exec !== undefined) {
      for (const container of containers) await runHooks(host, "develop.watch", [rule.exec], container);
    }
    if (rule.action === "rebuild") say(`service "${service}" is to be rebuilt, which comes with the builder; it stays as it is`);
  }
  if (hits.some(({ trigger }) => trigger.rule.action === "restart" || trigger.rule.action === "sync+restart")) {
    await restartProject(host, project.name, project, { services: [service] });
    say(`service "${service}" restarted`);
  }
}
