/**
 * Execs in two steps, as Docker's API has them: one is made, which runs nothing, and started once. Nothing of it survives the
 * engine but the process itself.
 */
import { randomBytes } from "node:crypto";
import { OnggiError } from "../lib/errors.ts";
import type { ClientStreams, Size } from "./attach.ts";
import type { Container } from "./container.ts";
import { type Context, findContainer } from "./context.ts";
import { startExec } from "./exec.ts";
import { describe } from "./list.ts";
import { StartFailed } from "./start-failed.ts";
import type { ExecInfo, ExecRequest } from "./types.ts";

/** So long after its end one can be asked about, in milliseconds. */
const KEPT = 5 * 60_000;

interface Session {
  readonly id: string;
  readonly container: Container;
  readonly request: ExecRequest;
  status: "created" | "running" | "ended";
  number: number | null;
  pid: number;
  exitCode: number | null;
  endedAt: number;
}

export class ExecSessions {
  private readonly context: Context;
  private readonly sessions = new Map<string, Session>();

  constructor(context: Context) {
    this.context = context;
  }

  /** Returns its id. Throws `not_running`, `paused`, `no_command`. */
  create(reference: string, request: ExecRequest): string {
    const container = findContainer(this.context, reference);
    this.check(container);
    if (request.command.length === 0) throw new OnggiError("no_command", "no exec command specified");
    this.forget();
    const id = randomBytes(32).toString("hex");
    const session: Session = { id, container, request, status: "created", number: null, pid: 0, exitCode: null, endedAt: 0 };
    this.sessions.set(id, session);
    const attributes = { ...describe(container.record), execID: id, command: request.command.join(" ") };
    this.context.events.emit("container", `exec_create: ${attributes.command}`, container.id, attributes);
    return id;
  }

  /** Throws what `start` would throw before anything is run. */
  checkStart(id: string): ExecInfo {
    const session = this.find(id);
    if (session.status !== "created")
      throw new OnggiError(
        "exec_running",
        `exec ${id} ${session.status === "running" ? "runs already" : "has run"}; make another one`,
      );
    this.check(session.container);
    return infoOf(session);
  }

  /** Resolves when the client has been served to the end or has left; with `detach` once the process runs. */
  async start(id: string, client: ClientStreams, options: { detach: boolean; size?: Size | undefined }): Promise<void> {
    this.checkStart(id);
    const session = this.find(id);
    session.status = "running";
    const end = (exitCode: number) => {
      Object.assign(session, { status: "ended", exitCode, pid: 0, endedAt: Date.now() });
    };
    const request = { ...session.request, detach: options.detach };
    try {
      const { process, pid, exited, served } = await startExec(this.context, session.container, request, client, {
        size: options.size,
        id,
      });
      Object.assign(session, { number: process.number, pid });
      const ended = exited.then(end, () => end(137));
      if ((await served) === "ended") await ended;
    } catch (error) {
      end(error instanceof StartFailed ? error.exitCode : 126);
      throw error;
    }
  }

  inspect(id: string): ExecInfo {
    return infoOf(this.find(id));
  }

  /** Throws `not_running` before it runs and after it has. */
  resize(id: string, { rows, columns }: Size): void {
    const { status, number, container } = this.find(id);
    if (status !== "running" || number === null || !container.shim)
      throw new OnggiError("not_running", `exec ${id} is not running`);
    container.shim.resize(number, rows, columns);
  }

  /** Ids of those of a container that have not ended. */
  of(containerId: string): string[] {
    return [...this.sessions.values()]
      .filter(({ container, status }) => container.id === containerId && status !== "ended")
      .map(({ id }) => id);
  }

  private check({ record, isUp }: Container): void {
    if (!isUp) throw new OnggiError("not_running", `container ${record.name} is not running`);
    if (record.state.status === "paused")
      throw new OnggiError("paused", `container ${record.name} is paused, unpause the container before exec`);
  }

  private find(id: string): Session {
    const session = this.sessions.get(id);
    if (!session || !this.context.containers.has(session.container.id))
      throw new OnggiError("exec_not_found", `No such exec instance: ${id}`);
    return session;
  }

  private forget(): void {
    const limit = Date.now() - KEPT;
    for (const [id, { status, endedAt, container }] of this.sessions) {
      const over = status === "ended" ? endedAt < limit : !container.isUp;
      if (over || !this.context.containers.has(container.id)) this.sessions.delete(id);
    }
  }
}

const infoOf = ({ id, container, request, status, pid, exitCode }: Session): ExecInfo => ({
  id,
  containerId: container.id,
  request,
  running: status === "running",
  pid,
  exitCode,
});
