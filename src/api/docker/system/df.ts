import { volumeFields } from "../../shapes/volume.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { isAtLeast } from "../versions.ts";

export const df = operation({
  id: "SystemDataUsage",
  tag: "System",
  summary: "what images, containers and volumes take of the disk",
  needs: "read",
  method: "GET",
  path: "/system/df",
  query: { type: q.strings("of these alone: container, image, volume, build-cache", { since: "1.42" }) },
  answers: { 200: "bytes" },
  run: ({ engine, query, version }) => {
    const usage = engine.diskUsage();
    const wants = (type: string): boolean => query.type.length === 0 || query.type.includes(type);
    const images = usage.images.map(({ id, names, created, size, shared, containers }) => ({
      Id: id,
      ParentId: "",
      RepoTags: names,
      RepoDigests: [],
      Created: created,
      Size: size,
      SharedSize: shared,
      ...(isAtLeast(version, "1.44") ? {} : { VirtualSize: size }),
      Labels: null,
      Containers: containers,
    }));
    const containers = usage.containers.map(({ id, name, image, state, command, created, size }) => ({
      Id: id,
      Names: [`/${name}`],
      Image: image,
      Command: command,
      Created: created,
      Ports: [],
      SizeRw: size,
      Labels: {},
      State: state,
      Status: state,
      HostConfig: {},
      NetworkSettings: { Networks: {} },
      Mounts: [],
    }));
    const volumes = usage.volumes.map(({ name, containers: users, size }) => ({
      ...volumeFields(engine.volumes.inspect(name)),
      UsageData: { RefCount: users, Size: size ?? -1 },
    }));
    return json(200, {
      ...(wants("image") ? { LayersSize: usage.layersSize, Images: images } : {}),
      ...(wants("container") ? { Containers: containers } : {}),
      ...(wants("volume") ? { Volumes: volumes } : {}),
      ...(wants("build-cache") ? { BuildCache: [] } : {}),
      ...(isAtLeast(version, "1.42") ? {} : { BuilderSize: 0 }),
    });
  },
});
