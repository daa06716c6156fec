/** What images, containers and volumes take of the disk. */
import { bytesBelow } from "../lib/disk.ts";
import { volumeUsers } from "./container-volumes.ts";
import type { Context } from "./context.ts";
import { createdSeconds } from "./images.ts";
import { containerPaths } from "./layout.ts";
import { commandText } from "./list.ts";
import type { DiskUsage } from "./types.ts";

export function diskUsage(context: Context): DiskUsage {
  const { images: store, containers, layout, volumes } = context;
  const images = store.list();
  const records = [...containers.values()].map(({ record }) => record);
  const layers = new Map<string, { size: number; images: number; used: boolean }>();
  const counted = images.map((image) => {
    const using = records.filter(({ imageId }) => imageId === image.id).length;
    const own = new Map(store.layers(image.id).map(({ diffId, size }) => [diffId, size]));
    for (const [diffId, size] of own) {
      const before = layers.get(diffId);
      layers.set(diffId, { size, images: (before?.images ?? 0) + 1, used: (before?.used ?? false) || using > 0 });
    }
    return { image, own, using };
  });
  return {
    images: counted.map(({ image, own, using }) => {
      let [shared, unique] = [0, 0];
      for (const [diffId, size] of own) {
        if (layers.get(diffId)!.images > 1) shared += size;
        else unique += size;
      }
      const created = createdSeconds(image);
      return { id: image.id, names: image.names, created, size: image.size, shared, unique, containers: using };
    }),
    layersSize: [...layers.values()].reduce((sum, { size }) => sum + size, 0),
    layersUnused: [...layers.values()].reduce((sum, { size, used }) => sum + (used ? 0 : size), 0),
    containers: records.map((record) => ({
      id: record.id,
      name: record.name,
      image: record.request.image,
      state: record.state.status,
      command: commandText(record.args),
      created: Number(BigInt(record.createdNs) / 1_000_000_000n),
      size: bytesBelow(containerPaths(layout, record.id).upper),
    })),
    volumes: volumes.list().map(({ name, anonymous }) => ({
      ...{ name, anonymous, size: volumes.size(name) },
      containers: volumeUsers(context, name).length,
    })),
  };
}
