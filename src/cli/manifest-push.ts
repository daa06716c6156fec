import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";
import { layerProgress } from "./layer-progress.ts";

export const command = define({
  usage: "[flags] LIST",
  summary: "send a list, and what its members need, to the registry its name says",
  flags: {
    purge: bool("p", "remove the list here afterwards"),
    insecure: bool("", "registries may be insecure"),
    quiet: bool("q", "print the digest alone"),
  },
  args: [1, 1],
  examples: [["manifest push --purge reg.example/app:1", "the last line is the index's digest"]],
  async run(context, { purge, insecure, quiet }, [list = ""]) {
    const { familiarName, parseReference } = await import("../oci/reference.ts");
    const reference = parseReference(list);
    const { lists } = await context.call("manifestLists", {});
    const members = lists.find(({ name }) => name === familiarName(reference))?.members ?? [];
    const sources = members.flatMap(({ repository }) => repository ?? []);
    const auths = await credentialsOf(context, [list, ...sources]);
    const progress = await layerProgress(context, quiet ? "none" : "stderr");
    await progress.begin(`The push refers to repository [${reference.domain}/${reference.path}]`);
    const request = { list, auths, ...(purge ? { purge } : {}), ...(insecure ? { insecure } : {}) };
    const pushed = await context.call("manifestPush", request, { progress: progress.step }).finally(() => progress.end());
    for (const { name, digest } of quiet ? [] : pushed.members) await line(context.stderr, `${name}: ${digest}`);
    await line(context.stdout, pushed.digest);
    return 0;
  },
});
