/** An image's configuration: OCI image specification, config.md; Docker's has the same shape. */
import { messageOf, OnggiError } from "../lib/errors.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { normal, type Platform } from "../oci/platform.ts";
import type { CommitImage, ImageConfig, ImportOptions } from "./types.ts";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A JSON object. Throws "archive_invalid" naming `what`. */
export const parseObject = (text: string, what: string): Record<string, unknown> => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new OnggiError("archive_invalid", `${what} is not JSON: ${messageOf(error)}`, { cause: error });
  }
  if (!isObject(value)) throw new OnggiError("archive_invalid", `${what} is not a JSON object`);
  return value;
};

const wrong = (what: string, field: string, expected: string): OnggiError =>
  new OnggiError("image_config_invalid", `${what}: "${field}" is not ${expected}`);

const isStrings = (value: unknown): value is string[] => Array.isArray(value) && value.every((item) => typeof item === "string");
const isStringMap = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((item) => typeof item === "string");
const isObjectMap = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every((item) => item === null || isObject(item));

type Rules = Readonly<Record<string, readonly [check: (value: unknown) => boolean, expected: string]>>;

const isString = (value: unknown): boolean => typeof value === "string";

const fields: Rules = {
  User: [isString, "a string"],
  Env: [isStrings, "a list of strings"],
  Entrypoint: [isStrings, "a list of strings"],
  Cmd: [isStrings, "a list of strings"],
  Shell: [isStrings, "a list of strings"],
  OnBuild: [isStrings, "a list of strings"],
  WorkingDir: [isString, "a string"],
  StopSignal: [isString, "a string"],
  Labels: [isStringMap, "an object of strings"],
  ExposedPorts: [isObjectMap, "an object of objects"],
  Volumes: [isObjectMap, "an object of objects"],
  Healthcheck: [isObject, "an object"],
};

const step: Rules = {
  created: [isString, "a string"],
  created_by: [isString, "a string"],
  author: [isString, "a string"],
  comment: [isString, "a string"],
  empty_layer: [(value) => typeof value === "boolean", "true or false"],
};

/** What may be told of an image besides. */
const told: Rules = {
  variant: [isString, "a string"],
  created: [isString, "a string"],
  author: [isString, "a string"],
  history: [(value) => Array.isArray(value) && value.every(isObject), "a list of objects"],
};

/** The values that are there, all but nulls. Throws for one that breaks its rule. */
const followed = (value: object, rules: Rules, what: string, at: string): Record<string, unknown> => {
  const found: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    if (entry === null) continue;
    const rule = Object.hasOwn(rules, key) ? rules[key] : undefined;
    if (rule && !rule[0](entry)) throw wrong(what, `${at}${key}`, rule[1]);
    found[key] = entry;
  }
  return found;
};

/** Deeper than any that is meant well; and what is told to clients and written again must be walked. */
const MAX_DEPTH = 32;

const isDeeper = (value: unknown, left: number): boolean =>
  typeof value === "object" && value !== null && (left === 0 || Object.values(value).some((item) => isDeeper(item, left - 1)));

/**
 * Reads a configuration and checks what others rely on; a null where a value may be absent is taken as absent.
 * Throws "image_config_invalid" or "archive_invalid" naming `what`.
 */
export const parseConfig = (text: string, what: string): ImageConfig => {
  const value = parseObject(text, what);
  if (isDeeper(value, MAX_DEPTH))
    throw new OnggiError("image_config_invalid", `${what}: it is nested more than ${MAX_DEPTH} deep`);
  const { rootfs, architecture, os, history, ...others } = followed(value, told, what, "");
  if (!isObject(rootfs) || !isStrings(rootfs.diff_ids) || !rootfs.diff_ids.every(isDigest)) {
    throw wrong(what, "rootfs.diff_ids", "a list of sha256 digests");
  }
  if (others.config !== undefined && !isObject(others.config)) throw wrong(what, "config", "an object");
  const config = followed(others.config ?? {}, fields, what, "config.");
  if (typeof architecture !== "string" || architecture === "") throw wrong(what, "architecture", "a string");
  if (os !== "linux") throw wrong(what, "os", `"linux": images of ${JSON.stringify(os)} cannot run here`);
  const steps = (history as object[] | undefined)?.map((entry, at) => followed(entry, step, what, `history[${at}].`));
  return {
    ...others,
    ...{ architecture, os, config, rootfs: { type: "layers", diff_ids: rootfs.diff_ids } },
    ...(steps ? { history: steps } : {}),
  } as ImageConfig;
};

export const diffIdsOf = (config: ImageConfig): Digest[] => config.rootfs.diff_ids as Digest[];

/** What an image is for. */
export const platformOf = ({ os, architecture, variant }: ImageConfig): Platform =>
  normal({ os, architecture, ...(variant ? { variant } : {}) });

/** The configuration of an image that is one root file system. */
export const importedConfig = (
  diffId: Digest,
  { os, architecture, variant }: Platform,
  { config = {}, message }: ImportOptions,
  now: Date,
): ImageConfig => {
  const created = now.toISOString();
  return {
    ...{ architecture, os, created, config },
    ...(variant === undefined ? {} : { variant }),
    rootfs: { type: "layers", diff_ids: [diffId] },
    history: [{ created, comment: message ?? "Imported from a root file system" }],
  };
};

/** The configuration of an image that is another one and a layer. */
export const committedConfig = (
  parent: ImageConfig,
  diffId: Digest,
  { config, author, message, createdBy }: CommitImage,
  now: Date,
): ImageConfig => {
  const created = now.toISOString();
  const by = author ? { author } : {};
  const step = { created, created_by: createdBy, ...by, ...(message ? { comment: message } : {}) };
  return {
    ...parent,
    ...{ created, config },
    ...by,
    rootfs: { type: "layers", diff_ids: [...parent.rootfs.diff_ids, diffId] },
    history: [...(parent.history ?? []), step],
  };
};

/** The manifest that makes the stored image one of an OCI image layout: its layers are the plain tars. */
export const manifestFor = (
  config: { digest: string; size: number },
  layers: readonly { digest: string; size: number }[],
): { mediaType: string; text: string } => {
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config },
    layers: layers.map((layer) => ({ mediaType: "application/vnd.oci.image.layer.v1.tar", ...layer })),
  });
  return { mediaType, text };
};

/** The name that Go, and so every image, has for this machine's architecture. */
export const hostArchitecture = (): string => (process.arch === "x64" ? "amd64" : process.arch);

/** What this machine runs. */
export const hostPlatform = (): Platform => ({ os: "linux", architecture: hostArchitecture() });
