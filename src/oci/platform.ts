/**
 * Platforms of images: operating system, architecture, variant. Source: OCI image specification, image-index.md; which variants run
 * where, as containerd's platforms package has it.
 */
import { OnggiError } from "../lib/errors.ts";

export interface Platform {
  readonly os: string;
  /** Go's name: "amd64", "arm64". */
  readonly architecture: string;
  readonly variant?: string;
}

const architectures: Readonly<Record<string, string>> = {
  x86_64: "amd64",
  "x86-64": "amd64",
  aarch64: "arm64",
  armhf: "arm",
  armel: "arm",
  i386: "386",
  i686: "386",
};

/** A variant that says no more than the architecture does is left out. */
const usual: Readonly<Record<string, string>> = { amd64: "v1", arm64: "v8", arm: "v7" };

const normal = ({ os, architecture, variant }: Platform): Platform => {
  const name = architectures[architecture] ?? architecture;
  const level = variant === undefined && architecture === "armel" ? "v6" : variant?.replace(/^(?=\d)/, "v");
  return level === undefined || level === "" || level === usual[name]
    ? { os, architecture: name }
    : { os, architecture: name, variant: level };
};

const word = /^[A-Za-z0-9_.-]+$/;

/** Reads "linux/arm64", "linux/arm/v6" or an architecture alone. Throws "platform_invalid". */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => word.test(part)))
    throw new OnggiError("platform_invalid", `"${text}" is no platform; platforms look like linux/amd64 or linux/arm/v7`);
  const [os = "", architecture, variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  return normal({ os, architecture: architecture!, ...(variant === undefined ? {} : { variant }) });
}

export const platformText = ({ os, architecture, variant }: Platform): string =>
  `${os}/${architecture}${variant === undefined ? "" : `/${variant}`}`;

const levelOf = ({ architecture, variant }: Platform): number => {
  const level = /^v(\d+)$/.exec(variant ?? usual[architecture] ?? "v0")?.[1];
  return level === undefined ? Number.NaN : Number(level);
};

/**
 * How well an image for `offered` suits a machine that is `wanted`: 0 exactly, more the farther its variant is below; null not at
 * all. A machine of a variant runs images of the lower ones of its architecture.
 */
export function distance(wanted: Platform, offered: Platform): number | null {
  const [want, offer] = [normal(wanted), normal(offered)];
  if (want.os !== offer.os || want.architecture !== offer.architecture) return null;
  if (want.variant === offer.variant) return 0;
  const below = levelOf(want) - levelOf(offer);
  return below >= 0 ? below : null;
}
