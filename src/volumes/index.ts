/**
 * Volumes: files that outlive containers.
 *
 * Terms. A **volume** is a name, a record in the database and a directory: `<root>/volumes/<name>/_data`. An **anonymous** one has
 * 64 hex digits as its name. The driver "local" keeps the files in that directory, or **mounts** something on it: a file system in
 * memory, an image file of fixed size, a device, a directory elsewhere, a share of a server. A **user** is a running container, or
 * whoever copies; a mount is there as long as there are users. An anonymous volume may have an **owner**, the container that it goes
 * away with.
 *
 * Lifecycle: create -> acquire (first user: mounted) -> release (last user: unmounted) -> remove. A volume that is empty when a
 * container is made gets what the image has at its place (`fill`).
 *
 * Guarantees. What a call returned survives a power cut. A volume is there whole or not at all, whatever is killed when: the record
 * comes first and says that the volume is being made, filled or removed; `reconcile` ends what was begun. A fill becomes visible at
 * once, or, in a volume that is in use, entry by entry, and an engine that dies in between is followed by one that goes on. A volume
 * with users is not removed. Files belong to the ids that containers see: how they are shown to a container with a user namespace is
 * the runtime's (id-mapped mounts).
 *
 * Example:
 *
 *     const volumes = openVolumes({ directory, database, discard, log });
 *     await volumes.create({ name: "data", options: { size: "1g" } });
 *     await volumes.use("data", (fd) => openat(fd, "file", O.O_WRONLY | O.O_CREAT, 0o644));
 *     await volumes.remove("data");
 */
export { parseVolumeOptions, type VolumeSource } from "./options.ts";
export type * from "./types.ts";
export { openVolumes } from "./volumes.ts";
