import type { Host, Step } from "../../compose/host.ts";
import { killProject, stopProject } from "../../compose/lifecycle.ts";
import { type ContainerEvent, currentOf, followEvents, LogReader, markOf } from "../../compose/logs.ts";
import { withDependencies } from "../../compose/names.ts";
import { containersOf, isUp, type ObservedContainer } from "../../compose/observe.ts";
import type { Project } from "../../compose/project.ts";
import { type UpOptions, up } from "../../compose/up.ts";
import { watchProject } from "../../compose/watch/index.ts";
import { messageOf } from "../../lib/errors.ts";
import type { Compose } from "./command.ts";
import { requireService } from "./command.ts";
import { hostOf } from "./host.ts";
import { LogPrinter } from "./log-printer.ts";
import { type Display, hasColours, openDisplay } from "./progress.ts";

/** `up` in the foreground: what the containers write is shown until they have ended, or ctrl-c stops them; twice kills them. */

export interface AttachedFlags {
  attach?: string[];
  "no-attach"?: string[];
  "attach-dependencies"?: boolean;
  "abort-on-container-exit"?: boolean;
  "abort-on-container-failure"?: boolean;
  "exit-code-from"?: string;
  "no-color"?: boolean;
  "no-log-prefix"?: boolean;
  timestamps?: boolean;
  timeout?: number;
  watch?: boolean;
}

export async function attached(compose: Compose, project: Project, options: UpOptions, flags: AttachedFlags): Promise<number> {
  const { context, globals } = compose;
  const from = flags["exit-code-from"];
  for (const name of [...(flags.attach ?? []), ...(from === undefined ? [] : [from])]) requireService(project, name);
  const printer = new LogPrinter(context, {
    colours: !flags["no-color"] && (await hasColours(context, globals, 1)),
    bare: flags["no-log-prefix"] ?? false,
    timestamps: flags.timestamps ?? false,
  });
  const display = await openDisplay(context, globals, "Running");
  return new Foreground(compose, project, options, flags, display, printer).run();
}

/** Whose output is shown. */
function shownServices(project: Project, options: UpOptions, flags: AttachedFlags): Set<string> {
  const { attach, "no-attach": not = [] } = flags;
  const asked =
    options.services.length === 0 || flags["attach-dependencies"]
      ? withDependencies(project, options.services)
      : options.services;
  const chosen = attach ?? asked.filter((name) => project.services[name]?.attach !== false);
  return new Set(chosen.filter((name) => !not.includes(name)));
}

/** Milliseconds that the last output of ended containers is waited for. */
const LAST_WORDS = 2000;
/** Milliseconds after all is stopped that the news of it is waited for. */
const LAST_EVENTS = 500;

class Foreground {
  readonly #compose: Compose;
  readonly #project: Project;
  readonly #options: UpOptions;
  readonly #flags: AttachedFlags;
  readonly #shown: Set<string>;
  readonly #printer: LogPrinter;
  readonly #display: Display;
  /** Ctrl-c: nothing more is begun. */
  readonly #interrupt = new AbortController();
  readonly #end = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  /** For all but `up` itself: its steps are not shown. */
  readonly #quiet: Host;
  readonly #reader: LogReader;
  /** Those that are waited for, by id: their marks. */
  readonly #alive = new Map<string, string>();
  #isDrawing = true;
  #started = false;
  #stopping: Promise<void> | undefined;
  #exitCode: number | undefined;

  constructor(
    compose: Compose,
    project: Project,
    options: UpOptions,
    flags: AttachedFlags,
    display: Display,
    printer: LogPrinter,
  ) {
    this.#compose = compose;
    this.#project = project;
    this.#options = options;
    this.#flags = flags;
    this.#shown = shownServices(project, options, flags);
    this.#display = display;
    this.#printer = printer;
    this.#quiet = { ...hostOf(compose, display, this.#end.signal), tell: () => {} };
    this.#reader = new LogReader(this.#quiet, { follow: true, since: new Date().toISOString() }, (line) => printer.write(line));
  }

  async run(): Promise<number> {
    const { context } = this.#compose;
    const offs = ["SIGINT", "SIGTERM"].map((name) => context.signals.on(name, () => this.#interrupted()));
    const events = this.#watch();
    try {
      await up(this.#host(), this.#project, { ...this.#options, created: () => this.#attach() });
      this.#started = true;
      await this.#takeStock();
      if (this.#flags.watch) this.#watchFiles();
      await this.#over.promise;
    } catch (error) {
      if (this.#stopping === undefined) throw error;
    } finally {
      await this.#stopDrawing();
      await this.#stopping;
      await Promise.race([this.#reader.settled(), Bun.sleep(LAST_WORDS)]);
      this.#end.abort();
      await events.catch(() => {});
      for (const off of offs) off();
    }
    return this.#interrupt.signal.aborted ? 130 : (this.#exitCode ?? 0);
  }

  #host(): Host {
    const tell = (step: Step): void => (this.#isDrawing ? this.#display.tell(step) : undefined);
    return { ...hostOf(this.#compose, this.#display, this.#interrupt.signal), tell };
  }

  async #stopDrawing(): Promise<void> {
    if (!this.#isDrawing) return;
    this.#isDrawing = false;
    await this.#display.end();
  }

  /** All is created, and from now on what is written is shown. */
  async #attach(): Promise<void> {
    await this.#stopDrawing();
    const names = (await this.#containers()).map((container) => markOf(this.#project.name, container));
    for (const name of names) this.#printer.register(name);
    await this.#compose.context.stderr.write(`Attaching to ${names.join(", ")}\n`);
  }

  #containers(): Promise<ObservedContainer[]> {
    return containersOf(this.#quiet.call, this.#project.name, { services: [...this.#shown], all: true });
  }

  /** Those that ran already. */
  async #takeStock(): Promise<void> {
    for (const container of await this.#containers()) if (isUp(container)) this.#follow(container);
    this.#check();
  }

  #check(): void {
    if ((this.#started || this.#stopping) && this.#alive.size === 0) this.#over.resolve();
  }

  #follow(container: ObservedContainer): void {
    if (!this.#shown.has(container.service) || this.#alive.has(container.id)) return;
    const mark = markOf(this.#project.name, container);
    this.#alive.set(container.id, mark);
    this.#reader.read({ id: container.id, mark }).catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (!this.#end.signal.aborted) this.#display.say(messageOf(error));
  }

  #watchFiles(): void {
    const signal = AbortSignal.any([this.#interrupt.signal, this.#end.signal]);
    const say = (text: string): void => void this.#compose.context.stderr.write(`${text}\n`);
    watchProject({ ...this.#quiet, signal }, this.#project, { services: this.#options.services, say }).catch((error: unknown) =>
      this.#over.reject(error),
    );
  }

  #watch(): Promise<void> {
    let last: Promise<void> = Promise.resolve();
    const tell = (event: ContainerEvent): void => {
      last = last.then(() => this.#happened(event)).catch((error: unknown) => this.#fail(error));
    };
    return followEvents(this.#quiet, this.#project.name, tell, this.#end.signal).catch((error: unknown) => {
      this.#over.reject(error);
    });
  }

  async #happened({ action, id, service, exitCode }: ContainerEvent): Promise<void> {
    if (action === "start") {
      const container = await currentOf(this.#quiet, id);
      if (container && !container.oneoff) this.#follow(container);
      return;
    }
    const mark = this.#alive.get(id);
    if (mark === undefined || (action !== "die" && action !== "destroy")) return;
    this.#alive.delete(id);
    if (action === "die") await this.#died(id, mark, service, exitCode);
    this.#check();
  }

  async #died(id: string, mark: string, service: string, exitCode: number): Promise<void> {
    const now = await currentOf(this.#quiet, id);
    const restarts = now !== undefined && isUp(now) && this.#stopping === undefined;
    await this.#printer.status(mark, `exited with code ${exitCode}${restarts ? " (restarting)" : ""}`);
    if (restarts) {
      // it is waited for, and followed once more when it has started
      if (now.state === "restarting") this.#alive.set(id, mark);
      else this.#follow(now);
      return;
    }
    const { "exit-code-from": from, "abort-on-container-failure": onFailure, "abort-on-container-exit": onExit } = this.#flags;
    if (from === service) this.#exitCode ??= exitCode;
    const aborts = onFailure ? exitCode !== 0 : onExit || from !== undefined;
    if (!aborts || this.#stopping !== undefined) return;
    if (from === undefined) this.#exitCode = exitCode;
    await this.#compose.context.stderr.write("Aborting on container exit...\n");
    this.#stop();
  }

  #interrupted(): void {
    const { context } = this.#compose;
    if (this.#interrupt.signal.aborted) {
      void killProject(this.#quiet, this.#project.name, this.#options.services).catch((error: unknown) => this.#fail(error));
      return;
    }
    this.#interrupt.abort(new Error("interrupted"));
    const said = "Gracefully Stopping... press Ctrl+C again to force";
    if (this.#isDrawing) this.#display.say(said);
    else void context.stderr.write(`${said}\n`);
    this.#stop();
  }

  #stop(): void {
    const { services, timeout } = this.#options;
    const host = { ...this.#quiet, tell: (step: Step) => void this.#compose.context.stderr.write(` ${step.id}  ${step.text}\n`) };
    this.#stopping ??= stopProject(host, this.#project.name, this.#project, { services, timeout })
      .catch((error: unknown) => this.#fail(error))
      .finally(() => setTimeout(this.#over.resolve, LAST_EVENTS));
  }
}
