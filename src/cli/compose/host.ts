import type { Caller } from "../../api/control/client.ts";
import type { CallName } from "../../api/control/protocol.ts";
import { dryRun } from "../../compose/dry-run.ts";
import type { Host } from "../../compose/host.ts";
import { Limiter } from "../../lib/limiter.ts";
import { decimalSize } from "../../lib/units.ts";
import { Exit } from "../errors.ts";
import type { Compose } from "./command.ts";
import { type Display, openDisplay } from "./progress.ts";

/**
 * Works on a project with this process's terminal and signals: progress is shown, ctrl-c ends it after what is under way,
 * pulls at once.
 * @param title of the progress: "Running"
 */
export async function withHost<T>(compose: Compose, title: string, work: (host: Host) => Promise<T>): Promise<T> {
  const { context, globals } = compose;
  const display = await openDisplay(context, globals, title);
  const stop = new AbortController();
  const offs = ["SIGINT", "SIGTERM"].map((name) => context.signals.on(name, () => stop.abort(new Exit(130))));
  try {
    const host = hostOf(compose, display, stop.signal);
    return await work(globals["dry-run"] ? dryRun(host) : host);
  } finally {
    for (const off of offs) off();
    await display.end();
  }
}

export function hostOf({ context, globals }: Compose, display: Display, signal: AbortSignal): Host {
  const quietly = new Set<string>();
  const limit = Number(globals.parallel ?? context.env.COMPOSE_PARALLEL_LIMIT ?? -1);
  return {
    call: limit > 0 ? limited(context.call, limit) : context.call,
    signal,
    tell: (step) => display.tell(step),
    warn: (message) => {
      if (quietly.has(message)) return;
      quietly.add(message);
      display.say(`WARN ${message}`);
    },
    readFile: (path) => Bun.file(path).text(),
    async pull(image, { platform, quiet }) {
      const { pullQuietly } = await import("../pull.ts");
      const id = `Image ${image}`;
      const layers = new Map<string, LayerStep>();
      display.tell({ id, text: "Pulling", status: "working" });
      try {
        const tell = (given: unknown): void => {
          const step = given as LayerStep;
          layers.set(step.id, step);
          if (!quiet) display.tell({ id, text: "Pulling", status: "working", detail: progressText([...layers.values()]) });
        };
        await pullQuietly(context, { image, ...(platform === undefined ? {} : { platform }) }, tell, async () => {}, signal);
        display.tell({ id, text: "Pulled", status: "done" });
      } catch (error) {
        display.tell({ id, text: signal.aborted ? "Interrupted" : "Error", status: "error" });
        throw error;
      }
    },
  };
}

interface LayerStep {
  readonly id: string;
  readonly message: string;
  readonly current?: number;
  readonly total?: number;
}

/** "2 of 5 layers, 3.1MB of 20MB". */
function progressText(layers: readonly LayerStep[]): string {
  const done = layers.filter(({ message }) => /complete|exists/i.test(message)).length;
  const bytes = (key: "current" | "total"): number => layers.reduce((sum, layer) => sum + (layer[key] ?? 0), 0);
  return `${done} of ${layers.length} layers${bytes("total") > 0 ? `, ${decimalSize(bytes("current"))} of ${decimalSize(bytes("total"))}` : ""}`;
}

const heavy: readonly CallName[] = ["create", "start", "stop", "restart", "remove", "pull", "push"];

function limited(call: Caller, most: number): Caller {
  const limiter = new Limiter(most);
  return (name, ...rest) => (heavy.includes(name) ? limiter.run(() => call(name, ...rest)) : call(name, ...rest));
}
