import type { VolumeInfo } from "../../engine/types.ts";

/** Docker Engine API v1.54, Volume: what Docker says of one. */
export const volumeFields = ({ name, driver, mountpoint, created, labels, options }: VolumeInfo): Record<string, unknown> => ({
  CreatedAt: created,
  Driver: driver,
  Labels: labels,
  Mountpoint: mountpoint,
  Name: name,
  Options: options,
  Scope: "local",
});

/** And what onggi knows besides. */
export const dockerVolume = (volume: VolumeInfo): object => ({
  ...volumeFields(volume),
  Onggi: { Anonymous: volume.anonymous, Containers: volume.containers },
});
