/**
 * What a container has mounted: from what was asked for, from other containers, from the image's VOLUMEs, to one list of mount points.
 * It is made once, when the container is made, and is part of its record. Looks names up; makes nothing.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Image } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { cleanPath } from "../runtime/paths.ts";
import { type Context, findContainer } from "./context.ts";
import type { ContainerRequest, MountPoint, MountRequest } from "./types.ts";

/** A bind mount's source is not there, and nobody asked that it be made. */
export const missingSource = (source: string, destination: string): OnggiError =>
  new OnggiError("mount_source_missing", `mount source ${source} for ${destination}: no such file or directory`);

const invalid = (message: string): OnggiError => new OnggiError("invalid_mount", message);

/** What `docker volume create` and a path tell apart: a volume's name has no slash. */
export const volumePath = (context: Pick<Context, "layout">, name: string): string => join(context.layout.volumes, name, "_data");

/** Throws `invalid_mount`, `duplicate_mount`, what finding a container or an image throws. */
export function mountPoints(context: Context, request: ContainerRequest, image: Image | undefined): MountPoint[] {
  const { mounts = [], volumesFrom = [], tmpfs = {} } = request;
  const volumes = Object.keys(image?.config.config.Volumes ?? {});
  if (mounts.length === 0 && volumesFrom.length === 0 && volumes.length === 0) return [];
  const found = new Map<string, MountPoint>();
  for (const text of volumesFrom) for (const point of fromContainer(context, text)) found.set(point.destination, point);
  const asked = new Set<string>();
  for (const mount of mounts) {
    const point = mountPoint(context, mount);
    if (asked.has(point.destination)) {
      throw new OnggiError("duplicate_mount", `mount target ${point.destination} is asked for twice; give each target once`);
    }
    asked.add(point.destination);
    found.set(point.destination, point);
  }
  const covered = new Set(Object.keys(tmpfs).map(cleanPath));
  for (const path of covered) if (!asked.has(path)) found.delete(path);
  for (const path of volumes.map(cleanPath)) {
    if (path === "/" || found.has(path) || covered.has(path)) continue;
    found.set(path, mountPoint(context, { type: "volume", target: path }));
  }
  return [...found.values()];
}

/** "NAME" or "NAME:ro" of --volumes-from. */
function fromContainer(context: Context, text: string): MountPoint[] {
  const [, name = "", mode] = /^(.*?)(?::([^:]*))?$/s.exec(text) ?? [];
  if (mode !== undefined && !["ro", "rw", "z", "Z", ""].includes(mode))
    throw invalid(`--volumes-from ${text}: "${mode}" is not one of ro, rw, z`);
  const { record } = findContainer(context, name);
  return (record.mounts ?? [])
    .filter(({ type }) => type === "volume" || type === "bind")
    .map((point) => ({ ...point, readonly: point.readonly || mode === "ro", copy: point.copy }));
}

/** One that is asked for. Throws `invalid_mount`, what finding an image throws. */
export function mountPoint(context: Context, mount: MountRequest): MountPoint {
  const { type, target, source = "", readonly = false, options = [], mode = "", subpath } = mount;
  if (!target.startsWith("/")) throw invalid(`mount target ${JSON.stringify(target)}: want an absolute path`);
  const destination = cleanPath(target);
  if (destination === "/") throw invalid(`mount target ${JSON.stringify(target)}: the root itself cannot be one`);
  if (subpath !== undefined && !isBelow(subpath)) {
    throw invalid(`subpath ${JSON.stringify(subpath)} for ${destination}: want a relative path that does not lead up`);
  }
  const below = subpath === undefined || cleanPath(subpath) === "/" ? {} : { subpath: cleanPath(subpath).slice(1) };
  const common = {
    ...{ type, destination, readonly, mode, options: [...options] },
    ...(mount.readonlyBelow ? { readonlyBelow: mount.readonlyBelow } : {}),
    ...below,
  };
  switch (type) {
    case "tmpfs":
      return { ...common, source: "", copy: false };
    case "bind":
      if (!source.startsWith("/"))
        throw invalid(`mount source ${JSON.stringify(source)} for ${destination}: want an absolute path`);
      if (!mount.createSource && !existsSync(source)) throw missingSource(source, destination);
      return { ...common, source, copy: false, ...(mount.createSource ? { createSource: true } : {}) };
    case "image": {
      if (source === "") throw invalid(`mount of an image on ${destination}: which image?`);
      const { id } = context.images.get(source);
      return { ...common, readonly: true, source: id, name: source, imageId: id, copy: false };
    }
    case "volume": {
      const name = source === "" ? randomBytes(32).toString("hex") : source;
      if (name.includes("/")) throw invalid(`volume name ${JSON.stringify(name)} for ${destination}: a volume's name has no "/"`);
      const { driver, driverOptions, labels } = mount;
      return {
        ...common,
        ...{ name, source: volumePath(context, name), copy: !mount.nocopy, anonymous: source === "" },
        volume: {
          ...(driver ? { driver } : {}),
          ...(driverOptions ? { options: driverOptions } : {}),
          ...(labels ? { labels } : {}),
        },
      };
    }
  }
}

const isBelow = (path: string): boolean =>
  path !== "" && !path.startsWith("/") && !path.split("/").includes("..") && !path.includes("\0");

/** As the runtime takes them: volumes and images are bind mounts of what they are by then. */
export const bindRequests = (points: readonly MountPoint[]): MountRequest[] =>
  points.map(({ type, source, subpath, destination, readonly, readonlyBelow, options }) => ({
    type: type === "tmpfs" ? "tmpfs" : "bind",
    ...(type === "tmpfs" ? {} : { source: pathOf({ type, source, subpath }) }),
    target: destination,
    readonly,
    ...(readonlyBelow ? { readonlyBelow } : {}),
    options: [...options],
  }));

/** What a mount point's source is called: by that path of the host, or, of an image, by its id. */
export const pathOf = ({ type, source, subpath }: { type: string; source: string; subpath?: string | undefined }): string => {
  const top = type === "image" ? `/image/${source.replace(/^sha256:/, "")}` : source;
  return subpath === undefined ? top : `${top}/${subpath}`;
};
