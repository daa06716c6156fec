/** X-Registry-Auth: who asks a registry, with each request. The engine keeps none of it. */
import type { RegistryAuth } from "../../../engine/types.ts";
import type { HttpRequest } from "../../http/types.ts";
import { ApiError } from "../errors.ts";
import { type Of, object, text } from "../schema.ts";

/** Docker's AuthConfig. */
export const authConfig = object({
  username: text(),
  password: text(),
  auth: text("name and password in base64, in place of these two"),
  email: text("not used"),
  serveraddress: text('the registry: "registry.example:5000", or a URL'),
  identitytoken: text("a refresh token, in place of a password"),
  registrytoken: text("sent to the registry as it is, as a bearer token"),
});

/** Undefined where nothing is said. Throws ApiError 400. */
export function authOf(given: Of<typeof authConfig>): RegistryAuth | undefined {
  const [, name, word] = given.auth ? (/^([^:]*):(.*)$/s.exec(Buffer.from(given.auth, "base64").toString("utf8")) ?? []) : [];
  const { identitytoken, registrytoken } = given;
  // no header could carry it
  if (/[^\x21-\x7e]/.test(`${identitytoken ?? ""}${registrytoken ?? ""}`))
    throw new ApiError(400, "a token has characters that none has");
  const username = given.username || name;
  const password = given.password || word;
  const found: RegistryAuth = {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(identitytoken ? { identityToken: identitytoken } : {}),
    ...(registrytoken ? { registryToken: registrytoken } : {}),
  };
  return Object.keys(found).length > 0 ? found : undefined;
}

/** Of a request: JSON in base64, of either alphabet. Throws ApiError 400, without the words of what it could not read. */
export function credentialsIn({ headers }: Pick<HttpRequest, "headers">): RegistryAuth | undefined {
  const header = headers.get("x-registry-auth") ?? "";
  if (header === "") return undefined;
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(header, "base64url").toString("utf8"));
  } catch {
    throw new ApiError(400, "invalid X-Registry-Auth header: it is no JSON in base64");
  }
  // null and "" are how some clients say nothing
  return value === null || value === "" ? undefined : authOf(authConfig.read(value, "X-Registry-Auth"));
}
