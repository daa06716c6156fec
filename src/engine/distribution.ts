/** What a registry has under a name: what it is, and for which platforms. Nothing of it is brought here. */
import { parseConfig, platformOf } from "../images/image-config.ts";
import { type Descriptor, parseDocument } from "../images/manifest.ts";
import { smallBlob } from "../images/pull.ts";
import type { RegistryAuth } from "../images/remote/types.ts";
import { canonicalName, parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import type { DistributionInfo } from "./types.ts";

/** An index's entries that are no image (attestations) state "unknown". */
const isPlatform = (platform: Descriptor["platform"]): platform is NonNullable<Descriptor["platform"]> =>
  platform !== null && platform.os !== "unknown";

/** Throws "reference_invalid", "manifest_invalid", "manifest_unsupported", and what the registry's client throws. */
export async function inspectDistribution(
  { registries }: Context,
  { image, auth }: { readonly image: string; readonly auth?: RegistryAuth | undefined },
  signal: AbortSignal,
): Promise<DistributionInfo> {
  const reference = parseReference(image);
  const what = canonicalName(reference);
  const repository = registries.repository(reference, auth);
  const { mediaType, digest, bytes } = await repository.manifest(reference.digest ?? reference.tag ?? "latest", signal);
  const descriptor = { mediaType, digest, size: bytes.length };
  const found = parseDocument(Buffer.from(bytes).toString("utf8"), mediaType, `${what}, manifest ${digest}`);
  if ("index" in found) return { descriptor, platforms: found.index.map(({ platform }) => platform).filter(isPlatform) };
  const where = `${what}, configuration ${found.manifest.config.digest}`;
  const config = parseConfig(await smallBlob(repository, found.manifest.config, where, signal), where);
  return { descriptor, platforms: [platformOf(config)] };
}
