import type { VolumeInfo } from "../../engine/types.ts";

/** Docker Engine API v1.41, Volume. */
export function dockerVolume(volume: VolumeInfo): object {
  const { name, driver, mountpoint, created, labels, options, containers, anonymous } = volume;
  return {
    CreatedAt: created,
    Driver: driver,
    Labels: labels,
    Mountpoint: mountpoint,
    Name: name,
    Options: options,
    Scope: "local",
    Onggi: { Anonymous: anonymous, Containers: containers },
  };
}
