import type { SecretRequest } from "../api/control/types.ts";
import { messageOf } from "../lib/errors.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./errors.ts";

/** What `--secret` asks for; files and variables are read here, where their names mean something. */

const keys = ["id", "src", "env", "target", "uid", "gid", "mode"] as const;

const spellings: Readonly<Record<string, (typeof keys)[number]>> = {
  ...Object.fromEntries(keys.map((key) => [key, key])),
  source: "src",
  dst: "target",
};

/** "id=NAME,src=FILE" or "id=NAME,env=VARIABLE", with target=PATH, uid=, gid=, mode=OCTAL. Throws UsageError. */
export async function parseSecret(spec: string, { cwd, env }: Pick<Context, "cwd" | "env">): Promise<SecretRequest> {
  const fail = (why: string): never => {
    throw new UsageError(`--secret ${spec}: ${why}`);
  };
  const given: Partial<Record<(typeof keys)[number], string>> = {};
  for (const field of spec.split(",")) {
    const [name = "", value] = field.split(/=(.*)/s);
    const key = Object.hasOwn(spellings, name) ? spellings[name] : undefined;
    if (!key) return fail(`no such key: "${name}"; there are ${keys.join(", ")}`);
    given[key] = value || fail(`${name} needs a value`);
  }
  const { id, src, env: variable, target, uid, gid, mode } = given;
  if (id === undefined) return fail("give it a name by id=");
  if ((src === undefined) === (variable === undefined)) return fail("say where it comes from, by src=FILE or env=VARIABLE");
  const { readFile } = await import("node:fs/promises");
  const { resolve } = await import("node:path");
  const number = (name: string, text: string, pattern: RegExp, base: number): number =>
    pattern.test(text) ? Number.parseInt(text, base) : fail(`${name}=${text} is no ${base === 8 ? "mode such as 0440" : "id"}`);
  const contents =
    src === undefined
      ? Buffer.from(env[variable!] ?? fail(`there is no variable ${variable}`))
      : await readFile(resolve(cwd, src)).catch((error: unknown) => fail(messageOf(error)));
  return {
    name: id,
    data: contents.toString("base64"),
    ...(target === undefined ? {} : { target }),
    ...(uid === undefined ? {} : { uid: number("uid", uid, /^\d+$/, 10) }),
    ...(gid === undefined ? {} : { gid: number("gid", gid, /^\d+$/, 10) }),
    ...(mode === undefined ? {} : { mode: number("mode", mode, /^[0-7]{1,4}$/, 8) }),
  };
}
