import type { Referrer } from "../api/control/types.ts";
import { credentialsOf } from "../credentials/credentials.ts";
import { printable } from "../lib/printable.ts";
import { decimalSize } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { joinLabels, type Listing, printRows, type Row } from "./listing.ts";

const headers: Listing["headers"] = {
  Digest: "DIGEST",
  ArtifactType: "ARTIFACT TYPE",
  Size: "SIZE",
  Annotations: "ANNOTATIONS",
  Subject: "SUBJECT",
};

export const command = define({
  usage: "[flags] NAME[:TAG|@DIGEST]",
  summary: "show what refers to an image in its registry, and what to that: signatures, SBOMs ...",
  flags: {
    "artifact-type": text("", "TYPE", "only those"),
    platform: text("", "OS/ARCH[/VARIANT]", "of an index: what refers to that platform's manifest"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
    json: bool("", "as one JSON document, nested"),
    insecure: bool("", "the registry may be insecure"),
  },
  args: [1, 1],
  complete: "image",
  examples: [["image referrers --artifact-type application/spdx+json reg.example/app:1", "its SBOMs"]],
  async run(context, { "artifact-type": artifactType, platform, format, json, insecure }, [image = ""]) {
    const { name, referrers } = await context.call("imageReferrers", {
      ...{ image, auths: await credentialsOf(context, [image]) },
      ...(artifactType === undefined ? {} : { artifactType }),
      ...(platform === undefined ? {} : { platform }),
      ...(insecure ? { insecure } : {}),
    });
    if (json) await line(context.stdout, JSON.stringify({ name, referrers }, null, 2));
    else {
      const drawn = format === undefined || format.startsWith("table");
      const columns = ["Digest", "ArtifactType", "Size"];
      await printRows(context, { headers, columns }, rowsOf(referrers, name, drawn ? "" : null), format);
    }
    return 0;
  },
});

/** One row for each, with the lines of a tree before the digest; null: no lines. */
export function rowsOf(referrers: readonly Referrer[], subject: string, indent: string | null): Row[] {
  return referrers.flatMap((referrer, i) => {
    const last = i === referrers.length - 1;
    const { digest, artifactType, size, annotations } = referrer;
    const row = {
      Digest: indent === null ? digest : `${indent}${last ? "└─" : "├─"} ${digest}`,
      ArtifactType: printable(artifactType),
      Size: decimalSize(size),
      Annotations: printable(joinLabels(annotations), 1000),
      Subject: subject,
    };
    return [row, ...rowsOf(referrer.referrers, digest, indent === null ? null : `${indent}${last ? "  " : "│ "} `)];
  });
}
