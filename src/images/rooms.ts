import type { Catalog } from "./catalog.ts";
import type { ContentStore } from "./content.ts";
import type { ImageDatabase } from "./database.ts";
import type { Mounts } from "./mount.ts";

/** The rooms of a store, which its operations work in. */
export interface Rooms {
  readonly content: ContentStore;
  /** What changes images here is told to the catalog. */
  readonly database: ImageDatabase;
  readonly catalog: Catalog;
  readonly mounts: Mounts;
}
