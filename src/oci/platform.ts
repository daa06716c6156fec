/**
 * Platforms of images: operating system, architecture, variant. Source: OCI image specification, image-index.md; which variants run
 * where, as containerd's platforms package has it.
 */
import { OnggiError } from "../lib/errors.ts";
import { printable } from "../lib/printable.ts";
import { lookUp } from "../lib/tables.ts";

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

/** One spelling for each platform: Go's names, the usual variant left out. */
export const normal = ({ os, architecture, variant }: Platform): Platform => {
  const name = lookUp(architectures, architecture) ?? architecture;
  const level = variant === undefined && architecture === "armel" ? "v6" : variant?.replace(/^(?=\d)/, "v");
  return level === undefined || level === "" || level === lookUp(usual, name)
    ? { os, architecture: name }
    : { os, architecture: name, variant: level };
};

const word = /^[A-Za-z0-9_.-]+$/;

/** Reads "linux/arm64", "linux/arm/v6" or an architecture alone. Throws "platform_invalid". */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split("/");
  if (parts.length > 3 || !parts.every((part) => word.test(part)))
    throw new OnggiError(
      "platform_invalid",
      `"${printable(text, 100)}" is no platform; platforms look like linux/amd64 or linux/arm/v7`,
    );
  const [os = "", architecture, variant] = parts.length === 1 ? ["linux", ...parts] : parts;
  return normal({ os, architecture: architecture!, ...(variant === undefined ? {} : { variant }) });
}

export const platformText = ({ os, architecture, variant }: Platform): string =>
  `${os}/${architecture}${variant === undefined ? "" : `/${variant}`}`;

const levelOf = ({ architecture, variant }: Platform): number => {
  const level = /^v(\d+)$/.exec(variant ?? lookUp(usual, architecture) ?? "v0")?.[1];
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

/** Architectures that a machine of another one runs by itself: its processor and kernel know them as its 32-bit form. */
const compatible: Readonly<Record<string, string>> = { amd64: "386", arm64: "arm" };

const FARTHER = 100;

/** As `distance`, for what a machine runs without help: its own architecture before the 32-bit form of it. */
export function nativeDistance(machine: Platform, offered: Platform): number | null {
  const own = distance(machine, offered);
  const narrow = lookUp(compatible, machine.architecture);
  if (own !== null || narrow === undefined) return own;
  const far = distance({ os: machine.os, architecture: narrow }, offered);
  return far === null ? null : far + FARTHER;
}

/** The one that suits best by `far`, the first of equals; undefined when none does. */
export function nearest<T>(candidates: Iterable<T>, far: (candidate: T) => number | null): T | undefined {
  let best: { readonly candidate: T; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    const distance = far(candidate);
    if (distance !== null && (best === undefined || distance < best.distance)) best = { candidate, distance };
  }
  return best?.candidate;
}
