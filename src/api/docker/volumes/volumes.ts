import { OnggiError } from "../../../lib/errors.ts";
import { volumeFields } from "../../shapes/volume.ts";
import { ApiError } from "../errors.ts";
import { empty, json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { anything, map, object, text } from "../schema.ts";
import { NOT_A_MANAGER } from "../swarm/swarm.ts";
import { isAtLeast } from "../versions.ts";

export const list = operation({
  id: "VolumeList",
  tag: "Volume",
  summary: "volumes",
  needs: "read",
  method: "GET",
  path: "/volumes",
  query: { filters: q.filters(["dangling", "driver", "label", "name"]) },
  answers: { 200: "volumes" },
  run: ({ engine, query }) => json(200, { Volumes: engine.volumes.list(query.filters).map(volumeFields), Warnings: null }),
});

export const inspect = operation({
  id: "VolumeInspect",
  tag: "Volume",
  summary: "everything about a volume",
  needs: "read",
  method: "GET",
  path: "/volumes/{name}",
  answers: { 200: "the volume", 404: "no such volume" },
  run: ({ engine, path }) => json(200, volumeFields(engine.volumes.inspect(path.name))),
});

export const create = operation({
  id: "VolumeCreate",
  tag: "Volume",
  summary: "make a volume, or find it made",
  needs: "admin",
  method: "POST",
  path: "/volumes/create",
  body: object({
    Name: text("absent: one is made up, and the volume is anonymous"),
    Driver: text("local"),
    DriverOpts: map(text()),
    Labels: map(text()),
    ClusterVolumeSpec: anything("of a swarm: refused"),
  }),
  bodyOptional: true,
  answers: { 201: "the volume", 409: "there is one of that name with other options", 503: "one of a swarm" },
  differs: "other options than those of the volume that is there are 409: Docker passes them over",
  run: async ({ engine, body, version }) => {
    const { Name, Driver, DriverOpts, Labels, ClusterVolumeSpec } = body;
    if (ClusterVolumeSpec !== undefined && isAtLeast(version, "1.42")) throw new ApiError(503, NOT_A_MANAGER);
    const volume = await engine.volumes.create({
      ...(Name ? { name: Name } : {}),
      ...(Driver ? { driver: Driver } : {}),
      ...(DriverOpts ? { options: DriverOpts } : {}),
      ...(Labels ? { labels: Labels } : {}),
    });
    return json(201, volumeFields(volume));
  },
});

export const update = operation({
  id: "VolumeUpdate",
  tag: "Volume",
  summary: "change a volume of a swarm",
  needs: "admin",
  method: "PUT",
  path: "/volumes/{name}",
  since: "1.42",
  answers: { 503: "there is no swarm" },
  run: () => {
    throw new ApiError(503, "volume update only valid for cluster volumes, but swarm is unavailable");
  },
});

export const remove = operation({
  id: "VolumeDelete",
  tag: "Volume",
  summary: "remove a volume",
  needs: "operate",
  method: "DELETE",
  path: "/volumes/{name}",
  query: { force: q.bool("no error where there is none of that name", false, { since: "1.25" }) },
  answers: { 204: "removed", 404: "no such volume", 409: "a container has it" },
  run: async ({ engine, path, query }) => {
    try {
      await engine.volumes.remove(path.name, query.force);
    } catch (error) {
      if (!(error instanceof OnggiError) || error.code !== "volume_in_use") throw error;
      const users = engine.volumes.inspect(path.name).containers.map((name) => engine.inspect(name).id);
      throw new ApiError(409, `remove ${path.name}: volume is in use${users.length > 0 ? ` - [${users.join(", ")}]` : ""}`);
    }
    return empty();
  },
});

/** Whether named ones go, too. Before 1.42 they always did. */
function isOfAll(values: readonly string[] = [], version: string): boolean {
  if (!isAtLeast(version, "1.42")) return true;
  const [value = "false", ...more] = values;
  if (more.length > 0 || !/^(0|1|t|f|true|false)$/i.test(value))
    throw new ApiError(400, `invalid filter 'all=[${values.join(" ")}]': give true or false`);
  return /^(1|t|true)$/i.test(value);
}

export const prune = operation({
  id: "VolumePrune",
  tag: "Volume",
  summary: "remove volumes that no container has: anonymous ones, by the filter all (and before 1.42) also others",
  needs: "operate",
  method: "POST",
  path: "/volumes/prune",
  since: "1.25",
  query: { filters: q.filters(["all", "label", "label!"]) },
  answers: { 200: "names of those that are gone, and how many bytes" },
  run: async ({ engine, query, version }) => {
    const { all, ...filters } = query.filters;
    if (filters.until) throw new ApiError(400, "invalid filter 'until'");
    const { deleted, reclaimed } = await engine.volumes.prune(isOfAll(all, version), filters);
    return json(200, { VolumesDeleted: deleted.length > 0 ? deleted : null, SpaceReclaimed: reclaimed });
  },
});
