import type { ManifestDocument } from "../api/control/types.ts";
import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags] [LIST] MANIFEST",
  summary: "show a list, one of its members, or what a registry has under a name",
  flags: {
    verbose: bool("v", "each manifest with its name and descriptor"),
    insecure: bool("", "registries may be insecure"),
  },
  args: [1, 2],
  complete: "image",
  examples: [
    ["manifest inspect debian:12", "the platforms a registry has it for"],
    ["manifest inspect -v reg.example/app:1", "with each platform's manifest"],
  ],
  async run(context, { verbose, insecure }, args) {
    const [list, manifest = ""] = args.length === 2 ? args : [undefined, args[0]];
    const auths = await credentialsOf(context, [list ?? manifest, ...(await sources(context.call, list ?? manifest))]);
    const asked = { manifest, auths, ...(list === undefined ? {} : { list }), ...(insecure ? { insecure } : {}) };
    const { text, documents } = await context.call("manifestInspect", { ...asked, verbose: verbose ?? false });
    if (!verbose) await line(context.stdout, JSON.stringify(JSON.parse(text), null, 3));
    else {
      const shown = documents.map(verboseOf);
      const single = shown.length === 1 && JSON.parse(text).manifests === undefined;
      await line(context.stdout, JSON.stringify(single ? shown[0] : shown, null, 4));
    }
    return 0;
  },
});

/** Where the members of a list lie; nothing where there is no such list. */
async function sources(call: Parameters<typeof command.run>[0]["call"], list: string): Promise<string[]> {
  const { familiarName, parseReference } = await import("../oci/reference.ts");
  const reference = parseReference(list);
  if (reference.digest) return [];
  const { lists } = await call("manifestLists", {});
  const own = lists.find(({ name }) => name === familiarName(reference));
  return (own?.members ?? []).flatMap(({ repository }) => repository ?? []);
}

/** As Docker shows a manifest. */
export function verboseOf({ ref, descriptor, text }: ManifestDocument): Record<string, unknown> {
  const docker = descriptor.mediaType.startsWith("application/vnd.docker.");
  return {
    Ref: ref,
    Descriptor: descriptor,
    Raw: Buffer.from(text).toString("base64"),
    [docker ? "SchemaV2Manifest" : "OCIManifest"]: JSON.parse(text),
  };
}
