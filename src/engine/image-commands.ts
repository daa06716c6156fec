/** `images` and its like: what clients do with images. */
import { type BootstrapOptions, bootstrap } from "../images/index.ts";
import type { CheckRequest, Image, Progress, SaveOptions } from "../images/types.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import { type AttestationRequest, attestationsOf } from "./attestations.ts";
import { type Context, imagesInUse } from "./context.ts";
import { inspectDistribution } from "./distribution.ts";
import { collectImages } from "./gc.ts";
import { tellOfImage } from "./image-events.ts";
import { historyOf, imageTrees } from "./image-layers.ts";
import { imageMounts, mountImage, unmountImage } from "./image-mounts.ts";
import { removeImage } from "./image-removal.ts";
import { listImages } from "./images.ts";
import { pruneImages } from "./prune.ts";
import { mirrorsOf, pullImages } from "./pull.ts";
import { login, pushImages } from "./push.ts";
import { searchImages } from "./search.ts";
import type { CollectRequest, ImageSearchRequest, LoginRequest, PullRequest, PushRequest, StoreReport } from "./types.ts";

type Filters = Record<string, string[]>;
type Told = { readonly signal: AbortSignal; readonly progress: Progress };

/** Verifies the image store, and mends it with `repair`. */
function check(context: Context, request: Omit<CheckRequest, "inUse">): Promise<StoreReport> {
  // Containers come and go meanwhile.
  const inUse = { has: (id: string) => imagesInUse(context).has(id) };
  return context.images.check({ ...request, inUse });
}

/** Of those that are still there; of a repository without a tag the one that is its latest. */
const savedIds = (context: Context, references: readonly string[], { platform }: SaveOptions): string[] =>
  references.flatMap((reference) => {
    try {
      return context.images.get(reference, platform).id;
    } catch {
      return [];
    }
  });

/** The use cases of images, for one engine. */
export const imagesOf = (context: Context) => ({
  store: context.images,
  remove: (reference: string, force: boolean, platform?: string) => removeImage(context, reference, force, platform),
  /** Gives an image a name more. */
  tag: (reference: string, name: string): void => {
    context.images.tag(reference, name);
    tellOfImage(context, "tag", context.images.get(reference).id, familiarName(parseReference(name)));
  },
  list: (filters: Filters) => listImages(context.images, filters),
  history: (reference: string, platform?: string) => historyOf(context.images, reference, platform),
  trees: (reference: string | undefined) => imageTrees(context.images, reference),
  collect: (request: CollectRequest) => collectImages(context, request),
  prune: (all: boolean, filters: Filters) => pruneImages(context, all, filters, (id) => removeImage(context, id, true)),
  /** For people to look at. */
  mount: (request: { image: string; platform?: string; target?: string }) => mountImage(context, request),
  mounts: () => imageMounts(context),
  /** Of one image, at one path, or all. */
  unmount: (reference: string | null, force: boolean) => unmountImage(context, reference, force),
  check: (request: Omit<CheckRequest, "inUse">) => check(context, request),
  /** Makes an image out of what this machine has: "busybox", "debian" or "debian:SUITE". */
  bootstrap: (distribution: string, options: BootstrapOptions) => bootstrap(context.images, distribution, options),
  pull: (request: PullRequest, told: Told) => pullImages(context, request, told),
  /** The hosts of an image's mirrors. */
  mirrors: (image: string) => mirrorsOf(context, image),
  push: (request: PushRequest, told: Told) => pushImages(context, request, told),
  /** What a registry has under a name. */
  distribution: (request: Parameters<typeof inspectDistribution>[1], signal: AbortSignal) =>
    inspectDistribution(context, request, signal),
  /** Repositories of a registry by a word. */
  search: (request: ImageSearchRequest, signal: AbortSignal) => searchImages(context, request, signal),
  /** What is attested of an image where it came from. */
  attestations: (request: AttestationRequest, signal: AbortSignal) => attestationsOf(context, request, signal),
  /** Asks a registry whether it takes credentials. */
  login: (request: LoginRequest, signal: AbortSignal) => login(context, request, signal),
  save: async (references: readonly string[], options: SaveOptions): Promise<void> => {
    await context.images.save(references, options);
    for (const id of savedIds(context, references, options)) tellOfImage(context, "save", id, id);
  },
  /** To be called when an image has come in. */
  arrived: ({ id, names }: Image, how: "import" | "load") => tellOfImage(context, how, id, names[0] ?? id),
});
