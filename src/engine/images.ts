import type { Image, ImageStore } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { isLabelled, momentOf } from "./filters.ts";
import { isSnapshotImageName } from "./snapshot-image.ts";
import type { ImageSummary } from "./types.ts";

/** Unix seconds; 0 when the configuration does not say. */
export const createdSeconds = (image: Image): number =>
  Math.floor(Date.parse(image.config.created ?? "1970-01-01T00:00:00Z") / 1000) || 0;

const summary = (image: Image): ImageSummary => ({
  id: image.id,
  names: image.names,
  repoDigests: image.repoDigests,
  created: createdSeconds(image),
  platform: image.platform,
  size: image.size,
  labels: image.config.config.Labels ?? {},
});

/** A pattern as Go's path.Match has it ("debian*:1?", no "*" across "/"), as a regular expression over a whole name. */
const glob = (pattern: string): RegExp => {
  const parts = pattern
    .replace(/[.+^${}()|\\]/g, "\\$&")
    .replace(/\*/g, "[^/]*")
    .replace(/\?/g, "[^/]");
  try {
    return new RegExp(`^${parts}$`);
  } catch {
    throw new OnggiError("invalid_filter", `reference=${pattern}: it is no pattern`);
  }
};

type Test = (image: Image) => boolean;

/** Whether a name is meant: "debian:12" by itself, by its repository, or by a pattern for either. */
const nameTest = (pattern: string): ((name: string) => boolean) => {
  const wanted = glob(pattern.replace(/^docker\.io\/(library\/)?/, ""));
  return (name) => wanted.test(name) || wanted.test(name.slice(0, name.lastIndexOf(":")));
};

const filters: Record<string, (store: ImageStore, value: string) => Test> = {
  reference: (_, value) => {
    const test = nameTest(value);
    return (image) => image.names.some(test);
  },
  label: (_, value) => (image) => isLabelled(image.config.config.Labels, value),
  dangling: (_, value) => {
    const wanted = /^(true|t|1)$/i.test(value);
    if (!wanted && !/^(false|f|0)$/i.test(value))
      throw new OnggiError("invalid_filter", `dangling=${value}: neither true nor false`);
    return (image) => (image.names.length === 0) === wanted;
  },
  until: (_, value) => {
    const limit = momentOf("until", value);
    return (image) => createdSeconds(image) < limit;
  },
  before: (store, value) => {
    const limit = createdSeconds(store.get(value));
    return (image) => createdSeconds(image) < limit;
  },
  since: (store, value) => {
    const limit = createdSeconds(store.get(value));
    return (image) => createdSeconds(image) > limit;
  },
};

/**
 * Images, newest first. Values of one filter are alternatives (labels add up), filters add up. With the filter "reference" an
 * image's other names are left out, as Docker does. The files of snapshots are not among them.
 */
export function listImages(store: ImageStore, wanted: Record<string, string[]>): ImageSummary[] {
  const tests = Object.entries(wanted).map(([key, values]): Test => {
    const make = lookUp(filters, key);
    if (!make) throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(filters).join(", ")}`);
    const each = values.map((value) => make(store, value));
    return key === "label" ? (image) => each.every((test) => test(image)) : (image) => each.some((test) => test(image));
  });
  const meant = wanted.reference?.map(nameTest);
  return store
    .list()
    .filter(({ names }) => names.length === 0 || !names.every(isSnapshotImageName))
    .filter((image) => tests.every((test) => test(image)))
    .map((image) => {
      const all = summary(image);
      return meant ? { ...all, names: all.names.filter((name) => meant.some((test) => test(name))) } : all;
    })
    .sort((a, b) => b.created - a.created);
}
