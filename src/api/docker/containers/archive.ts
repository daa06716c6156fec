/** Files of a container as tars, out and in: what `docker cp` asks for. */
import type { CopyTarget, PathStat } from "../../../engine/types.ts";
import { begun, produced } from "../../../lib/streams.ts";
import { ApiError } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";

const TAR = "application/x-tar";
const where = q.string("of the file or directory, in the container");
const gone = { 404: "no such container, or nothing at that path" } as const;

function placeOf(container: string, path: string | undefined): CopyTarget {
  if (!path) throw new ApiError(400, "bad parameter: path cannot be empty");
  return { container, path };
}

const statHeader = (stat: PathStat): Record<string, string> => ({
  "X-Docker-Container-Path-Stat": Buffer.from(JSON.stringify(stat)).toString("base64"),
});

export const archiveInfo = operation({
  id: "ContainerArchiveInfo",
  tag: "Container",
  summary: "what is at a path, in the header X-Docker-Container-Path-Stat: base64 of JSON",
  needs: "admin",
  method: "HEAD",
  path: "/containers/{id}/archive",
  query: { path: where },
  answers: { 200: "it is there", ...gone },
  run: async ({ engine, path, query }) => {
    const stat = await engine.copies.stat(placeOf(path.id, query.path));
    return { status: 200, headers: { "Content-Type": "application/json", ...statHeader(stat) } };
  },
});

export const archive = operation({
  id: "ContainerArchive",
  tag: "Container",
  summary: "what is at a path as a tar, and X-Docker-Container-Path-Stat",
  needs: "admin",
  method: "GET",
  path: "/containers/{id}/archive",
  query: { path: where },
  answers: { 200: { description: "a tar", content: TAR }, ...gone },
  run: async ({ engine, path, query, signal }) => {
    const place = placeOf(path.id, query.path);
    const found: PathStat[] = [];
    const tar = produced<Uint8Array>((write) => engine.copies.read(place, (stat) => void found.push(stat), write), signal);
    const body = await begun(tar);
    return { status: 200, headers: { "Content-Type": TAR, ...statHeader(found[0]!) }, body };
  },
});

export const putArchive = operation({
  id: "PutContainerArchive",
  tag: "Container",
  summary: "unpack a tar, plain or compressed, in a directory of a container",
  needs: "admin",
  method: "PUT",
  path: "/containers/{id}/archive",
  query: {
    path: where,
    noOverwriteDirNonDir: q.bool("a directory does not give way to a file, nor a file to a directory"),
    copyUIDGID: q.bool("files belong to the container's user"),
  },
  takes: TAR,
  answers: { 200: "unpacked", 403: "the file system is read-only", ...gone },
  run: async ({ engine, path, query, request, signal }) => {
    const { noOverwriteDirNonDir, copyUIDGID: copyUidGid } = query;
    await engine.copies.write(placeOf(path.id, query.path), request.body, { noOverwriteDirNonDir, copyUidGid, signal });
    return { status: 200 };
  },
});
