import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, choice, list } from "./flags.ts";
import { readKey } from "./image-sign.ts";

export const command = define({
  usage: "--key FILE [flags] NAME[:TAG|@DIGEST]",
  summary: "check that what a registry has under a name is signed by a key",
  flags: {
    key: list("", "FILE", "public key, PEM; several: any of them", { complete: "file" }),
    identity: choice(
      "",
      ["repository", "exact", "any"],
      "what it must be signed as (repository): its repository, its very name, anything",
    ),
    insecure: bool("", "the registry may be insecure"),
  },
  args: [1, 1],
  complete: "image",
  examples: [["image verify --key cosign.pub reg.example/app:1", "exit code 1 where it is not"]],
  async run(context, { key: files, identity, insecure }, [image = ""]) {
    if (!files) throw new UsageError("--key names the file of a public key");
    const keys = files.map((name) => ({ name, text: readKey(context, name) }));
    const request = { image, keys, auths: await credentialsOf(context, [image]) };
    const { name, digest, key, reference } = await context.call("imageVerify", {
      ...request,
      ...(identity === undefined ? {} : { identity }),
      ...(insecure ? { insecure } : {}),
    });
    const as = reference === null ? "" : `, as ${reference}`;
    await line(context.stdout, `Verified: ${name}: ${digest} is signed by ${key}${as}`);
    return 0;
  },
});
