/** `pull`: images from registries. */
import type { Progress } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { familiarName, parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import type { PulledName, PullRequest } from "./types.ts";

/** Brings one image, or all a repository has tags for. Throws what ImageStore.pull and Policy throw, "reference_invalid". */
export async function pullImages(
  { images, events, registries, policy }: Context,
  { image: name, allTags, platform, auth }: PullRequest,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<PulledName[]> {
  const reference = parseReference(name);
  policy.check(reference);
  const tags = allTags ? await allTagsOf() : [null];
  const pulled: PulledName[] = [];
  for (const tag of tags) {
    const one = tag === null ? reference : { ...reference, tag };
    const text = familiarName(one);
    const options = {
      registries,
      policy,
      signal,
      progress,
      ...(auth ? { auth } : {}),
      ...(platform ? { platform } : {}),
    };
    const { image, digest, upToDate, source } = await images.pull(text, options);
    events.emit("image", "pull", text, { name: text });
    pulled.push({ name: text, digest, id: image.id, upToDate, source });
  }
  return pulled;

  async function allTagsOf(): Promise<string[]> {
    if (reference.tag || reference.digest)
      throw new OnggiError("reference_invalid", `${name}: all tags are asked for, and it names one; give the repository alone`);
    return registries.repository(reference, auth).tags(signal);
  }
}
