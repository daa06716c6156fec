/** Snapshots, forks, and leases, as the layers above see them. */

export interface SnapshotRequest {
  container: string;
  /** Absent: the container's, "@" and a number. */
  name?: string;
  lease?: string;
}

/** One snapshot as `snapshot ls` shows it. */
export interface SnapshotInfo {
  id: string;
  name: string;
  /** RFC 3339. */
  created: string;
  /** The container it is of, as it was called then. */
  container: { id: string; name: string };
  /** As that container's was asked for. */
  image: string;
  /** Of the image that its files are. */
  imageId: string;
  /** Bytes that it takes beside its container's image. */
  size: number;
  lease?: string;
}

export interface ForkRequest {
  /** A container, else a snapshot. */
  container: string;
  /** 1 if absent, at most 1,000. */
  count?: number;
  /** Of one fork; of several the beginning: NAME-1, NAME-2. */
  name?: string;
  /** True if absent. */
  start?: boolean;
  lease?: string;
}

/** A lease as its holder is told of it. */
export interface LeaseInfo {
  id: string;
  /** How long it outlives the engine, counted from the start of the next one. */
  graceSeconds: number;
  /** It was there already, with what had been made under it. */
  resumed: boolean;
}

/** What went with a lease. */
export interface LeaseEnd {
  /** Ids. */
  containers: string[];
  networks: string[];
  /** Names. */
  volumes: string[];
  /** Ids. */
  snapshots: string[];
  /** What could not be removed, and why. */
  problems: string[];
}
