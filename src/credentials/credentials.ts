/**
 * Credentials for registries, in Docker's file: `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`; what Podman and skopeo
 * keep in `~/.config/containers/auth.json` is read where that one says nothing. Sources: docker-login(1), the protocol of
 * github.com/docker/docker-credential-helpers, containers-auth.json(5).
 *
 * A registry's credentials are kept by its helper (`credHelpers`), else by the store of all (`credsStore`), else in the file itself
 * (`auths`), in base64 and so readable. `auth.json` has repositories' credentials too; only those of registries are looked at.
 */
import { chmodSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { RegistryAuth } from "../api/control/types.ts";
import { messageOf, OnggiError } from "../lib/errors.ts";
import { parseReference, registryOf } from "../oci/reference.ts";
import { eraseFromHelper, getFromHelper, storeInHelper } from "./helper.ts";

/** Where it is looked: DOCKER_CONFIG, HOME, and PATH for helpers. */
interface Environment {
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Json = Record<string, unknown>;

/** Under this key the credentials of Docker Hub are kept, whatever it is called elsewhere. */
const HUB = "https://index.docker.io/v1/";

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const objectOf = (value: unknown): Json => (isObject(value) ? value : {});

/** Under which key a registry's credentials are kept. */
export const keyOf = (domain: string): string => (registryOf(domain) === "docker.io" ? HUB : registryOf(domain));

/** Where the file is written. Throws "credentials_invalid" where neither DOCKER_CONFIG nor HOME says so. */
export const configPath = ({ env }: Environment): string => {
  const directory = env.DOCKER_CONFIG || (env.HOME ? `${env.HOME}/.docker` : "");
  if (directory === "")
    throw new OnggiError("credentials_invalid", "credentials have no place: neither DOCKER_CONFIG nor HOME is set");
  return `${directory}/config.json`;
};

/** An object of a file; empty where there is none. Throws "credentials_invalid". */
const readConfig = (path: string): Json => {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return {};
    throw new OnggiError("credentials_invalid", `${path} cannot be read: ${messageOf(error)}`);
  }
  if (text.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    throw new OnggiError("credentials_invalid", `${path} is not JSON: ${messageOf(error)}; mend it or move it away`);
  }
  throw new OnggiError("credentials_invalid", `${path} is not a JSON object; mend it or move it away`);
};

/** Writes the file whole, for its owner alone; where it is a link, what it points to. */
const writeConfig = (path: string, config: Json): void => {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let target = path;
  try {
    target = realpathSync(path);
  } catch {
    // there is none yet
  }
  const beside = `${target}.${process.pid}`;
  try {
    writeFileSync(beside, `${JSON.stringify(config, null, "\t")}\n`, { mode: 0o600, flush: true });
    chmodSync(beside, 0o600);
    renameSync(beside, target);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new OnggiError("credentials_not_saved", `${target} cannot be written: ${messageOf(error)}`);
  }
};

/** What an entry of `auths` says; undefined where it says nothing. Throws "credentials_invalid" for an `auth` that is none. */
export const authOfEntry = (entry: unknown, where: string): RegistryAuth | undefined => {
  const { auth, identitytoken, registrytoken, username, password } = objectOf(entry);
  const registryToken = textOf(registrytoken);
  const identityToken = textOf(identitytoken);
  let pair = { username: textOf(username), password: textOf(password) };
  const encoded = textOf(auth);
  if (encoded !== undefined) {
    const decoded = Buffer.from(encoded, "base64").toString("utf8");
    const colon = decoded.indexOf(":");
    if (colon <= 0) {
      throw new OnggiError("credentials_invalid", `${where}: "auth" is not base64 of USER:PASSWORD; log in again`);
    }
    // some writers pad the password with zero bytes
    pair = { username: decoded.slice(0, colon), password: textOf(decoded.slice(colon + 1).replace(/\0+$/, "")) };
  }
  const found: RegistryAuth = {
    ...(pair.username === undefined ? {} : { username: pair.username }),
    ...(pair.password === undefined ? {} : { password: pair.password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
  return Object.keys(found).length === 0 ? undefined : found;
};

/** Which helper keeps a registry's credentials; undefined: the file does. */
const helperOf = (config: Json, domain: string): string | undefined => {
  for (const [key, name] of Object.entries(objectOf(config.credHelpers)))
    if (registryOf(key) === registryOf(domain)) return textOf(name);
  return textOf(config.credsStore);
};

const entryOf = (config: Json, domain: string, path: string): RegistryAuth | undefined => {
  const auths = objectOf(config.auths);
  const keys = Object.keys(auths).filter((key) => registryOf(key) === registryOf(domain));
  // the key written today comes before those of old
  keys.sort((a, b) => Number(b === keyOf(domain)) - Number(a === keyOf(domain)));
  for (const key of keys) {
    const found = authOfEntry(auths[key], `${path}: auths["${key}"]`);
    if (found) return found;
  }
  return undefined;
};

/**
 * The credentials for a registry ("docker.io", "registry.example:5000"); undefined where nobody is logged in. Throws
 * "credentials_invalid" for a file that cannot be read, "credential_helper_failed".
 */
export async function credentialsFor(context: Environment, domain: string): Promise<RegistryAuth | undefined> {
  const { env } = context;
  if (env.DOCKER_CONFIG || env.HOME) {
    const path = configPath(context);
    const config = readConfig(path);
    const helper = helperOf(config, domain);
    const kept = helper === undefined ? undefined : await getFromHelper(helper, keyOf(domain), env);
    const found = kept ?? entryOf(config, domain, path);
    if (found) return found;
  }
  if (!env.HOME) return undefined;
  const podmans = `${env.HOME}/.config/containers/auth.json`;
  return entryOf(readConfig(podmans), domain, podmans);
}

/** The credentials for the registries of these names, and for these hosts; nothing for those where nobody is logged in. */
export async function credentialsOf(
  context: Environment,
  names: readonly string[],
  hosts: readonly string[] = [],
): Promise<Record<string, RegistryAuth>> {
  const auths: Record<string, RegistryAuth> = {};
  for (const domain of new Set([...names.map((name) => parseReference(name).domain), ...hosts])) {
    const auth = await credentialsFor(context, domain);
    if (auth) auths[domain] = auth;
  }
  return auths;
}

/** Keeps credentials. Returns the path of the file where they now stand unencrypted; undefined where a helper has them. */
export async function storeCredentials(context: Environment, domain: string, auth: RegistryAuth): Promise<string | undefined> {
  const path = configPath(context);
  const config = readConfig(path);
  const key = keyOf(domain);
  const helper = helperOf(config, domain);
  const { username = "", password = "", identityToken } = auth;
  if (helper !== undefined) {
    await storeInHelper(helper, { server: key, auth }, context.env);
    // that somebody is logged in there, and no more, is said in the file
    writeConfig(path, { ...config, auths: { ...objectOf(config.auths), [key]: {} } });
    return undefined;
  }
  const pair = Buffer.from(`${username}:${identityToken === undefined ? password : ""}`).toString("base64");
  const entry = { auth: pair, ...(identityToken === undefined ? {} : { identitytoken: identityToken }) };
  writeConfig(path, { ...config, auths: { ...objectOf(config.auths), [key]: entry } });
  return path;
}

/** Forgets a registry's credentials, under every key they were kept. False where there were none. */
export async function eraseCredentials(context: Environment, domain: string): Promise<boolean> {
  const path = configPath(context);
  const config = readConfig(path);
  const helper = helperOf(config, domain);
  const auths = objectOf(config.auths);
  const kept = Object.entries(auths).filter(([key]) => registryOf(key) !== registryOf(domain));
  const had = kept.length < Object.keys(auths).length;
  const erased = helper === undefined ? false : await eraseFromHelper(helper, keyOf(domain), context.env);
  if (had) writeConfig(path, { ...config, auths: Object.fromEntries(kept) });
  return had || erased;
}
