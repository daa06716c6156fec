import type { Image, ImageStore } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { lookUp } from "../lib/tables.ts";
import { nowNs, parseMoment } from "../lib/time.ts";
import type { Context } from "./context.ts";
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

/** A shell pattern ("debian*:1?") as a regular expression over a whole name. */
const glob = (pattern: string): RegExp =>
  new RegExp(
    `^${pattern
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replace(/\*/g, ".*")
      .replace(/\?/g, ".")}$`,
  );

type Test = (image: Image) => boolean;

/** Whether a name is meant: "debian:12" by itself, by its repository, or by a pattern for either. */
const nameTest = (pattern: string): ((name: string) => boolean) => {
  const wanted = glob(pattern);
  return (name) => wanted.test(name) || wanted.test(name.slice(0, name.lastIndexOf(":")));
};

const filters: Record<string, (store: ImageStore, value: string) => Test> = {
  reference: (_, value) => {
    const test = nameTest(value);
    return (image) => image.names.some(test);
  },
  label: (_, value) => {
    const [key = "", wanted] = value.split(/=(.*)/s);
    return (image) => {
      const actual = image.config.config.Labels?.[key];
      return actual !== undefined && (wanted === undefined || wanted === actual);
    };
  },
  dangling: (_, value) => (image) => (image.names.length === 0) === (value === "true" || value === "1"),
  before: (store, value) => {
    const limit = createdSeconds(store.get(value));
    return (image) => createdSeconds(image) < limit;
  },
  since: (store, value) => {
    const limit = createdSeconds(store.get(value));
    return (image) => createdSeconds(image) > limit;
  },
};

/** The image has the label, with that value if one is given. */
const labelled = (image: Image, value: string): boolean => {
  const [key = "", wanted] = value.split(/=(.*)/s);
  const actual = image.config.config.Labels?.[key];
  return actual !== undefined && (wanted === undefined || wanted === actual);
};

const pruneFilters: Record<string, (values: readonly string[]) => Test> = {
  until: (values) => {
    const limit = Math.min(
      ...values.map((value) => {
        const moment = parseMoment(value, nowNs());
        if (moment === undefined)
          throw new OnggiError("invalid_filter", `until=${value}: neither a moment nor a duration like 24h`);
        return Number(moment / 1_000_000_000n);
      }),
    );
    return (image) => createdSeconds(image) < limit;
  },
  label: (values) => (image) => values.every((value) => labelled(image, value)),
  "label!": (values) => (image) => !values.some((value) => labelled(image, value)),
};

/** Ids of the images that `image prune` removes: none that a container or a manifest list needs. Throws "invalid_filter". */
export function prunable(context: Context, all: boolean, filters: Record<string, string[]>): string[] {
  const tests = Object.entries(filters).map(([key, values]) => {
    const make = lookUp(pruneFilters, key);
    if (!make) {
      throw new OnggiError("invalid_filter", `no such filter: ${key}; one of ${Object.keys(pruneFilters).join(", ")}`);
    }
    return make(values);
  });
  const inUse = new Set([...context.containers.values()].map(({ record }) => record.imageId));
  return context.images
    .list()
    .filter(
      (image) =>
        !inUse.has(image.id) &&
        !context.images.lists.needs(image.id) &&
        (all || image.names.length === 0) &&
        tests.every((test) => test(image)),
    )
    .map(({ id }) => id);
}

/**
 * Images, newest first. Values of one filter are alternatives (labels add up), filters add up. With the filter "reference" an
 * image's other names are left out, as Docker does.
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
    .filter((image) => tests.every((test) => test(image)))
    .map((image) => {
      const all = summary(image);
      return meant ? { ...all, names: all.names.filter((name) => meant.some((test) => test(name))) } : all;
    })
    .sort((a, b) => b.created - a.created);
}
