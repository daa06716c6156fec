import { readFileSync } from "node:fs";
import { credentialsOf } from "../credentials/credentials.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, list, text } from "./flags.ts";
import { pairs } from "./pairs.ts";

export const command = define({
  usage: "--key FILE [flags] NAME[:TAG|@DIGEST]",
  summary: "sign what a registry has under a name, as cosign does",
  flags: {
    key: text("", "FILE", "private key: PEM, or as cosign encrypts it (COSIGN_PASSWORD)", { complete: "file" }),
    recursive: bool("r", "also each manifest that an index names"),
    identity: text("", "NAME", "what it is signed as (its repository)"),
    annotation: list("a", "KEY=VALUE", "something more the signature says"),
    insecure: bool("", "the registry may be insecure"),
  },
  args: [1, 1],
  complete: "image",
  examples: [["image sign --key cosign.key reg.example/app:1", "the signature lies beside it, in the registry"]],
  async run(context, { key, recursive, identity, annotation, insecure }, [image = ""]) {
    if (key === undefined) throw new UsageError("--key names the file of the private key");
    const pem = readKey(context, key);
    const annotations = pairs(annotation, "--annotation");
    const password = await passwordFor(context, pem, key);
    const { digests } = await context.call("imageSign", {
      ...{ image, key: pem, keyName: key, auths: await credentialsOf(context, [image]) },
      ...(password === undefined ? {} : { password }),
      ...(identity === undefined ? {} : { identity }),
      ...(annotations ? { annotations } : {}),
      ...(recursive ? { recursive } : {}),
      ...(insecure ? { insecure } : {}),
    });
    for (const digest of digests) await line(context.stdout, `Signed: ${digest}`);
    return 0;
  },
});

/** Throws UsageError. */
export function readKey({ cwd }: Context, file: string): string {
  try {
    return readFileSync(file.startsWith("/") ? file : `${cwd}/${file}`, "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

async function passwordFor(context: Context, pem: string, name: string): Promise<string | undefined> {
  if (!pem.includes("-----BEGIN ENCRYPTED ")) return undefined;
  const { COSIGN_PASSWORD } = context.env;
  if (COSIGN_PASSWORD !== undefined) return COSIGN_PASSWORD;
  if (!(await context.terminal()).isTerminal(0)) return undefined;
  const { openPrompt } = await import("./prompt.ts");
  const prompt = await openPrompt(context);
  return prompt.secret(`Password for ${name}: `).finally(() => prompt.close());
}
