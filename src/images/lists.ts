/**
 * Manifest lists: indexes that somebody makes of images of several platforms, kept in the database until they are pushed. A member
 * is an image of the store, sent with the push, or a manifest in a registry, copied as the bytes it has there. Sources: OCI image
 * specification 1.1, image-index.md; docker-manifest(1).
 */
import { OnggiError } from "../lib/errors.ts";
import type { Digest } from "../oci/digest.ts";
import { canonicalName, parseReference, type Reference } from "../oci/reference.ts";
import { type Catalog, canonicalTag, familiar, type Known } from "./catalog.ts";
import { copyManifest } from "./copy.ts";
import type { ImageDatabase } from "./database.ts";
import { digestOf } from "./digest.ts";
import { ImageNotFound } from "./errors.ts";
import { isConfigType, isIndexType, isObject, mediaTypes, parseDescriptor, parseJson } from "./manifest.ts";
import { smallBlob } from "./pull.ts";
import type { RemoteManifest, Repository } from "./remote/types.ts";
import type {
  ListAnnotation,
  ListDescriptor,
  ListMember,
  ListOptions,
  ListPlatform,
  ManifestList,
  ManifestLists,
  PushedImage,
  PushOptions,
} from "./types.ts";

const MAX_MEMBERS = 5000;
const word = /^[A-Za-z0-9_.-]{1,128}$/;

const nameOf = ({ domain, path }: Reference): string => `${domain}/${path}`;
const textOf = ({ bytes }: RemoteManifest): string => Buffer.from(bytes).toString("utf8");
const stringOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

/** The platform of a descriptor or configuration, whole; null where it has none. */
const platformOf = (value: unknown): ListPlatform | null => {
  if (!isObject(value)) return null;
  const [architecture, os] = [stringOf(value.architecture), stringOf(value.os)];
  if (architecture === undefined || os === undefined) return null;
  const [variant, version] = [stringOf(value.variant), stringOf(value["os.version"])];
  const features = value["os.features"];
  return {
    ...{ architecture, os },
    ...(version === undefined ? {} : { "os.version": version }),
    ...(Array.isArray(features) ? { "os.features": features.filter((each) => typeof each === "string") } : {}),
    ...(variant === undefined ? {} : { variant }),
  };
};

/** What an index says of a manifest besides its platform. */
const descriptorOf = (value: Record<string, unknown>, what: string): ListDescriptor => {
  const { mediaType, digest, size } = parseDescriptor(value, what);
  const artifactType = stringOf(value.artifactType);
  return {
    ...{ mediaType, digest, size },
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(isObject(value.annotations) ? { annotations: value.annotations as Record<string, string> } : {}),
  };
};

/** Members of a manifest in a registry: itself, or each entry of an index. */
async function membersOf(repository: Repository, reference: Reference, signal?: AbortSignal): Promise<ListMember[]> {
  const top = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
  const what = `${repository.name}@${top.digest}`;
  const value = parseJson(textOf(top), what);
  const type = stringOf(value.mediaType) ?? top.mediaType;
  if (isIndexType(type)) {
    const entries = Array.isArray(value.manifests) ? value.manifests.filter(isObject) : [];
    return entries.map((entry, position) => {
      const descriptor = descriptorOf(entry, `${what}, manifests[${position}]`);
      const platform = platformOf(entry.platform);
      return { name: `${repository.name}@${descriptor.digest}`, image: null, repository: repository.name, descriptor, platform };
    });
  }
  const { digest, bytes } = top;
  const artifactType = stringOf(value.artifactType);
  const descriptor = { mediaType: type, digest, size: bytes.length, ...(artifactType === undefined ? {} : { artifactType }) };
  const config = value.config === undefined ? null : parseDescriptor(value.config, `${what}, config`);
  const text = config && isConfigType(config.mediaType) ? await smallBlob(repository, config, `${what}, config`, signal) : "{}";
  const platform = platformOf(parseJson(text, `${what}, config`));
  return [{ name: canonicalName(reference), image: null, repository: repository.name, descriptor, platform }];
}

/** The index of these members, whole or, while local ones have not been pushed, as far as it is known. */
const indexOf = (members: readonly ListMember[]): { mediaType: string; text: string } => {
  const docker = members.length > 0 && members.every(({ descriptor }) => descriptor?.mediaType === mediaTypes.dockerManifest);
  const mediaType = docker ? mediaTypes.dockerIndex : mediaTypes.index;
  const manifests = members.map(({ descriptor, image, platform }) => ({
    ...(descriptor ?? { image }),
    ...(platform === null ? {} : { platform }),
  }));
  return { mediaType, text: JSON.stringify({ schemaVersion: 2, mediaType, manifests }) };
};

/** Sends an image of the store to a repository, under its digest. */
export type PushMember = (id: string, target: Reference, options: PushOptions) => Promise<PushedImage>;

export class StoredLists implements ManifestLists {
  readonly #database: ImageDatabase;
  readonly #catalog: Catalog;
  readonly #push: PushMember;

  constructor(database: ImageDatabase, catalog: Catalog, push: PushMember) {
    this.#database = database;
    this.#catalog = catalog;
    this.#push = push;
  }

  all(): ManifestList[] {
    return this.#database.manifestLists().map(({ name, members }) => ({ name: familiar(name), members: JSON.parse(members) }));
  }

  needs(id: string): boolean {
    return this.all().some(({ members }) => members.some(({ image }) => image === id));
  }

  get(list: string): ManifestList & { readonly mediaType: string; readonly text: string } {
    const name = canonicalTag(list);
    const found = this.#database.manifestLists().find((each) => each.name === name);
    if (!found) throw missing(list);
    const members = JSON.parse(found.members) as ListMember[];
    return { name: familiar(name), members, ...indexOf(members) };
  }

  async create(list: string, images: readonly string[], options: ListOptions & { readonly amend?: boolean }): Promise<string> {
    const name = canonicalTag(list);
    const refuse = (exists: boolean): void => {
      if (exists && !options.amend)
        throw new OnggiError(
          "manifest_list_exists",
          `there is a manifest list ${list}; --amend adds to it, "onggi manifest rm" removes it`,
        );
    };
    refuse(this.#database.manifestLists().some((each) => each.name === name));
    const fresh: ListMember[] = [];
    for (const image of images) fresh.push(...(await this.#find(image, options)));
    this.#database.changeManifestList(name, (before) => {
      refuse(before !== null);
      const members = new Map<string, ListMember>();
      for (const member of [...(JSON.parse(before ?? "[]") as ListMember[]), ...fresh]) members.set(member.name, member);
      if (members.size > MAX_MEMBERS)
        throw new OnggiError(
          "manifest_list_too_large",
          `${list} would have ${members.size} members; the limit is ${MAX_MEMBERS}`,
        );
      return JSON.stringify([...members.values()]);
    });
    return familiar(name);
  }

  annotate(list: string, image: string, annotation: ListAnnotation): void {
    this.#change(list, (members) => {
      const found = memberNamed(members, list, image);
      return members.map((member) =>
        member === found ? { ...member, platform: annotated(member.platform, annotation, image) } : member,
      );
    });
  }

  member(list: string, image: string): ListMember {
    return memberNamed(this.get(list).members, list, image);
  }

  remove(list: string): void {
    this.#database.changeManifestList(canonicalTag(list), (before) => {
      if (before === null) throw missing(list);
      return null;
    });
  }

  async push(
    list: string,
    options: PushOptions & { readonly purge?: boolean },
  ): Promise<PushedImage & { members: ListMember[] }> {
    const { registries, authOf, signal, progress } = options;
    const target = parseReference(canonicalTag(list));
    // whether something is there a mirror does not say
    const repository = registries.repository(target, authOf?.(target.domain), {
      mirrors: false,
      ...(authOf ? { authOf } : {}),
    });
    const members: ListMember[] = [];
    for (const member of this.get(list).members) members.push(await this.#send(member, target, repository, options));
    const { mediaType, text } = indexOf(members);
    const bytes = Buffer.from(text);
    progress?.({ id: digestOf(bytes), current: 0, message: "Pushing index" });
    const digest = await repository.putManifest(target.tag ?? digestOf(bytes), mediaType, bytes, signal);
    const sent = new Map(members.map((member) => [member.name, member]));
    this.#database.changeManifestList(canonicalName(target), (before) => {
      if (before === null || options.purge) return null;
      // what was annotated meanwhile stays
      const now = JSON.parse(before) as ListMember[];
      return JSON.stringify(
        now.map((member) => ({ ...member, descriptor: sent.get(member.name)?.descriptor ?? member.descriptor })),
      );
    });
    return { digest, mediaType, size: bytes.length, members };
  }

  async #send(member: ListMember, target: Reference, repository: Repository, options: PushOptions): Promise<ListMember> {
    const { registries, authOf, signal, progress } = options;
    const { image, descriptor } = member;
    if (image !== null) {
      if (!this.#catalog.has(image))
        throw new OnggiError("image_not_found", `${member.name} (${image}) is no longer here; make the manifest list again`);
      const { digest, mediaType, size } = await this.#push(image, { ...target, tag: null }, options);
      return { ...member, descriptor: { mediaType, digest, size } };
    }
    const from = parseReference(member.repository!);
    const source = registries.repository(from, authOf?.(from.domain));
    const tell = (id: string, message: string): void => progress?.({ id, current: 0, message });
    await copyManifest(source, repository, descriptor!.digest as Digest, { signal, tell });
    return member;
  }

  /** The images of the store with that name, unless one of them is a platform's part of a registry's index; else what the registry has. */
  async #find(image: string, { registries, authOf, signal }: ListOptions): Promise<ListMember[]> {
    const local = this.#local(image);
    if (local) return local;
    const reference = parseReference(image);
    return membersOf(registries.repository(reference, authOf?.(reference.domain)), reference, signal);
  }

  #local(image: string): ListMember[] | null {
    let here: { readonly found: readonly Known[]; readonly name: string | null };
    try {
      here = this.#catalog.findAll(image);
    } catch (error) {
      if (error instanceof ImageNotFound) return null;
      throw error;
    }
    const { found } = here;
    const name = here.name ?? (image.includes("@") ? canonicalName(parseReference(image)) : null);
    const repository = name === null ? null : nameOf(parseReference(name));
    const isPart = ({ documents, repositoryDigests }: Known): boolean => {
      const known = repositoryDigests.filter((each) => each.repository === repository).map(({ digest }) => digest);
      return documents.some(({ digest, mediaType }) => isIndexType(mediaType) && known.includes(digest));
    };
    if (found.some(isPart)) return null;
    // of several with one name each goes by its id
    const named = (id: string): string => (name === null || found.length > 1 ? id : name);
    return found.map(({ record: { id }, config }) => {
      return { name: named(id), image: id, repository: null, descriptor: null, platform: platformOf(config) };
    });
  }

  #change(list: string, change: (members: readonly ListMember[]) => readonly ListMember[]): void {
    this.#database.changeManifestList(canonicalTag(list), (before) => {
      if (before === null) throw missing(list);
      return JSON.stringify(change(JSON.parse(before) as ListMember[]));
    });
  }
}

const missing = (list: string): OnggiError =>
  new OnggiError("manifest_list_not_found", `there is no manifest list ${list}; "onggi manifest create" makes one`);

/** By name, by digest, or by the id of a local image. */
const memberNamed = (members: readonly ListMember[], list: string, image: string): ListMember => {
  const canonical = (): string | null => {
    try {
      return canonicalName(parseReference(image));
    } catch {
      return null;
    }
  };
  const found =
    members.find((member) => member.name === canonical()) ??
    members.find((member) => member.descriptor?.digest === image || member.image === image || member.image === `sha256:${image}`);
  if (found) return found;
  const names = members.map(({ name }) => (name.startsWith("sha256:") ? name : familiar(name)));
  throw new OnggiError(
    "manifest_list_member_not_found",
    `${image} is no member of ${list}; it has: ${names.join(", ") || "none"}`,
  );
};

/** Throws "platform_invalid". */
const annotated = (platform: ListPlatform | null, annotation: ListAnnotation, image: string): ListPlatform => {
  const { os, architecture, variant, osVersion, osFeatures } = annotation;
  for (const text of [os, architecture, variant, osVersion, ...(osFeatures ?? [])])
    if (text !== undefined && !word.test(text)) throw new OnggiError("platform_invalid", `"${text}" is no part of a platform`);
  const whole: Partial<ListPlatform> = {
    ...platform,
    ...(architecture === undefined ? {} : { architecture }),
    ...(os === undefined ? {} : { os }),
    ...(osVersion === undefined ? {} : { "os.version": osVersion }),
    ...(osFeatures === undefined ? {} : { "os.features": [...osFeatures] }),
    ...(variant === undefined ? {} : { variant }),
  };
  if (whole.os === undefined || whole.architecture === undefined)
    throw new OnggiError("platform_invalid", `${image} says no platform of its own: give --os and --arch together`);
  return whole as ListPlatform;
};
