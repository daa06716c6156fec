/** `pull`: images from registries. */
import type { Progress } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import { tellOfTransfer } from "./image-events.ts";
import type { PulledName, PullRequest } from "./types.ts";

/** Brings one image, or all a repository has tags for. Throws what ImageStore.pull and Policy throw, "reference_invalid". */
export async function pullImages(
  context: Context,
  { image: name, allTags, platform, auths = {} }: PullRequest,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<PulledName[]> {
  const { images, registries, policy } = context;
  const { downloads } = context.configuration;
  const reference = parseReference(name);
  const authOf = (host: string) => auths[host];
  policy.check(reference);
  const tags = allTags ? await allTagsOf() : [null];
  const pulled: PulledName[] = [];
  for (const tag of tags) {
    const one = tag === null ? reference : { ...reference, tag };
    const text = familiarName(one);
    const options = {
      registries,
      authOf,
      policy,
      signal,
      progress,
      ...(platform ? { platform } : {}),
      ...(downloads === undefined ? {} : { atOnce: downloads }),
    };
    const { image, digest, upToDate, source } = await images.pull(text, options);
    tellOfTransfer(context, "pull", text);
    pulled.push({ name: text, digest, id: image.id, upToDate, source });
  }
  return pulled;

  async function allTagsOf(): Promise<string[]> {
    if (reference.tag || reference.digest)
      throw new OnggiError("reference_invalid", `${name}: all tags are asked for, and it names one; give the repository alone`);
    return registries.repository(reference, authOf(reference.domain), { authOf }).tags(signal);
  }
}

/** Hosts that may be asked in place of a name's registry, each with credentials of its own. Throws "registry_config_invalid". */
export const mirrorsOf = ({ registries }: Context, image: string): string[] => registries.mirrorsOf(parseReference(image));
