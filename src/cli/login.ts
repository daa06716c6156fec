import { credentialsFor, keyOf, storeCredentials } from "../credentials/credentials.ts";
import { printable } from "../lib/printable.ts";
import { registryOf } from "../oci/reference.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";
import { openPrompt, type Prompt } from "./prompt.ts";

export const command = define({
  usage: "[flags] [SERVER]",
  summary: "keep the credentials for a registry",
  flags: {
    username: text("u", "NAME", "who"),
    password: text("p", "PASSWORD", "the password, for all to see; rather --password-stdin"),
    "password-stdin": bool("", "read the password from standard input"),
  },
  args: [0, 1],
  examples: [
    ["login -u ann --password-stdin registry.example < secret", "for pull and push"],
    ["login", "to Docker Hub; asks for name and password"],
  ],
  async run(context, values, [server = "docker.io"]) {
    const domain = registryOf(server);
    const auth = await credentials(context, domain, values);
    if (auth.username === "" || auth.password === "") throw new UsageError("a registry wants a name (-u) and a password");
    const { identityToken } = await context.call("login", { server: domain, auth });
    const file = await storeCredentials(context, domain, identityToken ? { username: auth.username, identityToken } : auth);
    if (file !== undefined)
      await line(
        context.stderr,
        `WARNING: the credentials for ${keyOf(domain)} are kept unencrypted in ${file}; a credential helper would not`,
      );
    await line(context.stdout, "Login Succeeded");
    return 0;
  },
});

interface Given {
  readonly username?: string;
  readonly password?: string;
  readonly "password-stdin"?: boolean;
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

/** As they were given; what is missing is asked for on the terminal. */
async function credentials(context: Context, domain: string, given: Given): Promise<Credentials> {
  const { username, password, "password-stdin": fromInput } = given;
  if (fromInput) {
    if (password !== undefined) throw new UsageError("-p and --password-stdin exclude each other");
    if (username === undefined) throw new UsageError("--password-stdin needs -u: standard input is the password");
    return { username, password: (await new Response(context.stdin()).text()).replace(/\r?\n$/, "") };
  }
  if (password !== undefined)
    await line(context.stderr, "WARNING: others can see a password on the command line; use --password-stdin");
  if (username !== undefined && password !== undefined) return { username, password };
  const prompt = await openPrompt(context);
  try {
    const name = username ?? (await askName(context, prompt, domain));
    return { username: name, password: password ?? (name === "" ? "" : await prompt.secret("Password: ")) };
  } finally {
    await prompt.close();
  }
}

/** Whoever is logged in there need not write the name again. */
async function askName(context: Context, prompt: Prompt, domain: string): Promise<string> {
  const former = (await credentialsFor(context, domain))?.username ?? "";
  const name = await prompt.line(former === "" ? "Username: " : `Username (${printable(former, 80)}): `);
  return name.trim() || former;
}
