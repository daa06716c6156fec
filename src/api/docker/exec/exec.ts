import { sizeOf } from "../containers/attach.ts";
import { ApiError, failureOf } from "../errors.ts";
import { empty, json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { flag, integer, list, object, text, words } from "../schema.ts";
import { clientOf, detachKeysOf, framed, noClient, streamType, takeOver } from "../streams.ts";

const none = { 404: "no such exec" } as const;

export const execCreate = operation({
  id: "ContainerExec",
  tag: "Exec",
  summary: "make an exec: a further process of a container that is not started yet",
  needs: "admin",
  method: "POST",
  path: "/containers/{id}/exec",
  body: object({
    Cmd: words(),
    Env: list(text()),
    User: text(),
    WorkingDir: text(),
    Tty: flag(),
    Privileged: flag(),
    AttachStdin: flag(),
    AttachStdout: flag(),
    AttachStderr: flag(),
    Detach: flag(),
    DetachKeys: text(),
    ConsoleSize: list(integer()),
  }),
  answers: { 201: "its id", 404: "no such container", 409: "the container does not run, or is paused" },
  run: ({ engine, path, body }) => {
    if (!body.Cmd?.length) throw new ApiError(400, "No exec command specified");
    detachKeysOf(body.DetachKeys, "escape");
    const id = engine.execs.create(path.id, {
      command: body.Cmd,
      ...(body.Env?.length ? { env: body.Env } : {}),
      ...(body.User ? { user: body.User } : {}),
      ...(body.WorkingDir ? { workdir: body.WorkingDir } : {}),
      ...(body.Tty ? { tty: true } : {}),
      ...(body.Privileged ? { privileged: true } : {}),
      ...(body.AttachStdin ? { openStdin: true } : {}),
      ...(body.DetachKeys ? { detachKeys: body.DetachKeys } : {}),
      attach: { stdout: body.AttachStdout ?? false, stderr: body.AttachStderr ?? false },
    });
    return json(201, { Id: id });
  },
});

export const execStart = operation({
  id: "ExecStart",
  tag: "Exec",
  summary: "start an exec and take its streams",
  needs: "admin",
  method: "POST",
  path: "/exec/{id}/start",
  body: object({ Detach: flag(), Tty: flag(), ConsoleSize: list(integer(), "rows and columns") }),
  bodyOptional: true,
  hijacks: true,
  answers: {
    101: "the streams",
    200: "the streams, or with Detach: it runs",
    409: "it has been started, or its container does not run",
    ...none,
  },
  run: async ({ engine, path, body, request, version, signal }) => {
    const { request: asked } = engine.execs.checkStart(path.id);
    const tty = asked.tty ?? false;
    const [rows, columns] = body.ConsoleSize ?? [];
    const size = tty && rows !== undefined && rows > 0 ? sizeOf(rows, columns) : undefined;
    if (body.Detach) {
      await engine.execs.start(path.id, noClient(signal), { detach: true, size });
      return empty(200);
    }
    const { stdout, stderr } = asked.attach ?? { stdout: true, stderr: true };
    return takeOver(request, streamType(tty, version), async (stream) => {
      const client = clientOf(stream, {
        stdin: asked.openStdin ?? false,
        stdout,
        stderr,
        tty,
        detachKeys: detachKeysOf(asked.detachKeys),
        endsInput: true,
      });
      try {
        await engine.execs.start(path.id, client, { detach: false, size });
      } catch (error) {
        // the head has been sent: the client reads this, then asks for the exit code
        await stream.write(framed(tty, "stdout", new TextEncoder().encode(`${failureOf(error).message}\r\n`)));
      }
    });
  },
});

export const execResize = operation({
  id: "ExecResize",
  tag: "Exec",
  summary: "tell an exec's terminal its size",
  needs: "operate",
  method: "POST",
  path: "/exec/{id}/resize",
  query: { h: q.integer("rows"), w: q.integer("columns") },
  answers: { 200: "told", 409: "it does not run", ...none },
  run: ({ engine, path, query }) => {
    engine.execs.resize(path.id, sizeOf(query.h, query.w));
    return empty(200);
  },
});

export const execInspect = operation({
  id: "ExecInspect",
  tag: "Exec",
  summary: "everything about an exec",
  needs: "read",
  method: "GET",
  path: "/exec/{id}/json",
  answers: { 200: "the exec", ...none },
  run: ({ engine, path }) => {
    const { id, containerId, request, running, pid, exitCode } = engine.execs.inspect(path.id);
    const [entrypoint = "", ...words] = request.command;
    return json(200, {
      ID: id,
      Running: running,
      ExitCode: exitCode,
      ProcessConfig: {
        tty: request.tty ?? false,
        entrypoint,
        arguments: words,
        privileged: request.privileged ?? false,
        ...(request.user ? { user: request.user } : {}),
      },
      OpenStdin: request.openStdin ?? false,
      OpenStdout: request.attach?.stdout ?? true,
      OpenStderr: request.attach?.stderr ?? true,
      CanRemove: false,
      ContainerID: containerId,
      DetachKeys: request.detachKeys ?? "",
      Pid: pid,
    });
  },
});
