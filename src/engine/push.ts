/** `push` and `login`: what goes to registries. */
import type { Progress } from "../images/types.ts";
import { OnggiError } from "../lib/errors.ts";
import { canonicalName, familiarName, parseReference } from "../oci/reference.ts";
import type { Context } from "./context.ts";
import { tellOfTransfer } from "./image-events.ts";
import type { LoginRequest, PushedName, PushRequest } from "./types.ts";

/** Sends one name, or all the names of a repository. Throws what ImageStore.push throws, "reference_invalid", "image_not_found". */
export async function pushImages(
  context: Context,
  { image: name, allTags, platform, auths = {} }: PushRequest,
  { signal, progress }: { readonly signal: AbortSignal; readonly progress: Progress },
): Promise<PushedName[]> {
  const { images, registries } = context;
  const { uploads } = context.configuration;
  const pushed: PushedName[] = [];
  for (const text of allTags ? namesOf(images.list(), name) : [familiarName(parseReference(name))]) {
    const atOnce = uploads === undefined ? {} : { atOnce: uploads };
    const asked = { signal, progress, ...atOnce, ...(platform === undefined ? {} : { platform }) };
    const options = { registries, authOf: (domain: string) => auths[domain], ...asked };
    const { digest, size } = await images.push(text, options);
    tellOfTransfer(context, "push", text);
    pushed.push({ name: text, digest, size });
  }
  return pushed;
}

/** The names that the store has in a repository. */
function namesOf(images: readonly { readonly names: readonly string[] }[], repository: string): string[] {
  const asked = parseReference(repository);
  if (asked.tag || asked.digest)
    throw new OnggiError(
      "reference_invalid",
      `${repository}: all tags are asked for, and it names one; give the repository alone`,
    );
  const prefix = canonicalName({ ...asked, tag: "x" }).slice(0, -1);
  const names = images.flatMap((image) => image.names).filter((name) => canonicalName(parseReference(name)).startsWith(prefix));
  if (names.length === 0) throw new OnggiError("image_not_found", `no image here is named ${repository}`);
  return [...new Set(names)].sort();
}

/** Whether a registry takes these credentials. Throws "registry_unauthorized" and what else its client throws. */
export const login = (
  { registries }: Context,
  { server, auth }: LoginRequest,
  signal: AbortSignal,
): Promise<{ identityToken?: string }> => registries.login(server, auth, signal);
