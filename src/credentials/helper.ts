/**
 * Programs that keep credentials: `docker-credential-NAME get|store|erase`, with the request on standard input and the answer on
 * standard output. Source: github.com/docker/docker-credential-helpers.
 */
import { spawn } from "node:child_process";
import type { RegistryAuth } from "../api/control/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A helper says this, and exits with 1, of a registry it does not know. */
const NOT_FOUND = "credentials not found";
/** In place of a user name: the secret is an identity token. */
const TOKEN_USER = "<token>";

const failed = (name: string, verb: string, why: string): OnggiError =>
  new OnggiError("credential_helper_failed", `docker-credential-${name} ${verb}: ${why}`);

/** Null where it does not know the registry. Throws "credential_helper_failed". */
async function ask(name: string, verb: "get" | "store" | "erase", input: string, env: Env): Promise<string | null> {
  if (!/^[\w.-]+$/.test(name)) throw failed(name, verb, "that is no name of a helper");
  const helper = spawn(`docker-credential-${name}`, [verb], { env: { ...env }, stdio: "pipe" });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    helper[stream].setEncoding("utf8").on("data", (text: string) => {
      said[stream] += text;
    });
  // one that does not read what it is asked has its say by its exit code
  helper.stdin.on("error", () => {}).end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    helper.once("close", resolve);
    helper.once("error", (error) =>
      reject(failed(name, verb, `${messageOf(error)}; install it, or take it out of Docker's config.json`)),
    );
  });
  const { stdout, stderr } = said;
  if (code === 0) return stdout;
  const words = (stdout.trim() || stderr.trim()).slice(0, 500);
  if (words.startsWith(NOT_FOUND)) return null;
  throw failed(name, verb, words || `ended with exit code ${code}`);
}

/** What a helper answered to "get". Throws "credential_helper_failed" for an answer that is none. */
export const parseHelperAnswer = (text: string, name: string): RegistryAuth => {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw failed(name, "get", "it answered something that is not JSON");
  }
  const { Username, Secret } = (answer ?? {}) as { Username?: unknown; Secret?: unknown };
  if (typeof Username !== "string" || typeof Secret !== "string")
    throw failed(name, "get", "its answer has no Username and Secret");
  return Username === TOKEN_USER ? { identityToken: Secret } : { username: Username, password: Secret };
};

export async function getFromHelper(name: string, server: string, env: Env): Promise<RegistryAuth | undefined> {
  const answer = await ask(name, "get", server, env);
  return answer === null ? undefined : parseHelperAnswer(answer, name);
}

export async function storeInHelper(name: string, kept: { server: string; auth: RegistryAuth }, env: Env): Promise<void> {
  const { username = "", password = "", identityToken } = kept.auth;
  const [Username, Secret] = identityToken === undefined ? [username, password] : [TOKEN_USER, identityToken];
  await ask(name, "store", JSON.stringify({ ServerURL: kept.server, Username, Secret }), env);
}

/** False where it had none. */
export const eraseFromHelper = async (name: string, server: string, env: Env): Promise<boolean> =>
  (await ask(name, "erase", server, env)) !== null;
