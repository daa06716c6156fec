import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { keyOf, registryOf, storeCredentials } from "./credentials.ts";
import { UsageError } from "./errors.ts";
import { bool, text } from "./flags.ts";

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
    ["login -u ann", "to Docker Hub; asks for the password"],
  ],
  async run(context, values, [server = "docker.io"]) {
    const domain = registryOf(server);
    const auth = { username: values.username ?? "", password: await password(context, values) };
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

async function password(context: Context, { username, password: given, "password-stdin": fromInput }: Given): Promise<string> {
  if (fromInput) {
    if (given !== undefined) throw new UsageError("-p and --password-stdin exclude each other");
    if (username === undefined) throw new UsageError("--password-stdin needs -u: standard input is the password");
    return (await new Response(context.stdin()).text()).replace(/\r?\n$/, "");
  }
  if (given !== undefined) {
    await line(context.stderr, "WARNING: others can see a password on the command line; use --password-stdin");
    return given;
  }
  const terminal = await context.terminal();
  if (!terminal.isTerminal(0)) throw new UsageError("standard input is no terminal to ask on: give -u and --password-stdin");
  return ask(context, "Password: ");
}

/** Asks for a line without showing it. Throws UsageError at its end, or on Ctrl-C, without one. */
export async function ask(context: Context, question: string): Promise<string> {
  const terminal = await context.terminal();
  await context.stderr.write(question);
  const restore = terminal.raw(0);
  const decoder = new TextDecoder();
  let typed = "";
  try {
    for await (const chunk of context.stdin()) {
      for (const character of decoder.decode(chunk, { stream: true })) {
        if (character === "\r" || character === "\n") return typed;
        if (character === "\u0003" || character === "\u0004") throw new UsageError("no password was given");
        typed = character === "\u007f" || character === "\b" ? typed.slice(0, -1) : typed + character;
      }
    }
    throw new UsageError("no password was given");
  } finally {
    restore();
    await context.stderr.write("\n");
  }
}
