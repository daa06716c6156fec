import { dirname } from "node:path";
import { type Caller, EngineUnreachable } from "../api/control/client.ts";
import { Outbox } from "../lib/outbox.ts";
import { shortSocketPath } from "../lib/socket-path.ts";
import { define } from "./command.ts";
import { type Context, isRemote } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "connect standard input and output to the engine's socket",
  flags: {
    control: bool("", "to its control socket, not to that of Docker's API"),
    "no-start": bool("", "only if an engine runs"),
  },
  args: [0, 0],
  examples: [["system dial-stdio", "what docker -H ssh://HOST calls there"]],
  async run(context, { control, "no-start": running }) {
    if (isRemote(context)) throw new UsageError("system dial-stdio is for engines of this host: log in on the other one");
    const { call } = running ? { call: context.callRunning } : context;
    if (control) {
      await call("ping", {});
      await dial(context, context.socket);
    } else {
      await dialDocker(context, call);
    }
    return 0;
  },
});

/** Who may open Docker's socket only comes in without a word with the engine; only one that is elsewhere has to be asked for. */
async function dialDocker(context: Context, call: Caller): Promise<void> {
  try {
    await dial(context, `${dirname(context.socket)}/docker.sock`);
    return;
  } catch (error) {
    if (!(error instanceof EngineUnreachable) || !["ENOENT", "ECONNREFUSED"].includes(error.reason)) throw error;
  }
  const { settings } = await call("settings", {});
  const path = settings.find(({ name }) => name === "docker-socket")!.value;
  if (path === "none") throw new UsageError("this engine serves Docker's API on no socket (docker-socket)");
  await dial(context, path);
}

/**
 * Bytes both ways until the engine has ended its side, which it may do before standard input ends; the end of that is passed on.
 * Throws EngineUnreachable.
 */
async function dial(context: Context, path: string): Promise<void> {
  const ended = Promise.withResolvers<void>();
  let outbox: Outbox | undefined;
  const short = await shortSocketPath(path).catch((error: unknown) => {
    throw new EngineUnreachable(path, error);
  });
  let writing: Promise<void> = Promise.resolve();
  const socket = await Bun.connect({
    unix: short.path,
    allowHalfOpen: true,
    socket: {
      binaryType: "uint8array",
      data(from, chunk) {
        from.pause();
        writing = context.stdout.write(chunk);
        writing.then(
          () => void from.resume(),
          (error: unknown) => ended.reject(error),
        );
      },
      drain: () => outbox?.drained(),
      end: () => ended.resolve(),
      close() {
        outbox?.close();
        ended.resolve();
      },
      error: () => ended.resolve(),
    },
  })
    .catch((error: unknown) => {
      throw new EngineUnreachable(path, error);
    })
    .finally(short.release);
  outbox = new Outbox(socket);
  void passOn(context, outbox).then(() => socket.shutdown());
  await ended.promise;
  await writing;
}

async function passOn(context: Context, outbox: Outbox): Promise<void> {
  try {
    for await (const chunk of context.stdin()) await outbox.send(chunk);
  } catch {
    // an input that is closed or cannot be read is at its end
  }
  await outbox.flushed();
}
