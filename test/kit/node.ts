/** Clients that their users run on Node: TypeScript that Bun builds and the Node of the machine runs. */
import { join } from "node:path";
import { type CallResult, CommandLine } from "./command.ts";
import { repository } from "./engine.ts";

type Variables = Readonly<Record<string, string>>;

/** Runs a file of `node:test` tests; its output is TAP. */
export const nodeTests = async (file: string, env: Variables): Promise<CallResult> =>
  node(["--test", "--test-reporter=tap", await built(file)], env);

/** Runs a script. */
export const nodeScript = async (file: string, env: Variables): Promise<CallResult> => node([await built(file)], env);

/** Packages stay packages: they are what is tested. Rejects what cannot be built. */
async function built(file: string): Promise<string> {
  const { outputs } = await Bun.build({
    ...{ entrypoints: [file], target: "node", packages: "external", sourcemap: "inline" },
    // from there packages are found
    ...{ outdir: join(repository, "build/test"), naming: "[name].mjs" },
  });
  return outputs[0]!.path;
}

const node = (words: readonly string[], env: Variables): Promise<CallResult> =>
  new CommandLine(["node", "--enable-source-maps"], { env }).run(words, { timeout: 120_000 });
