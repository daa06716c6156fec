import { parseEndpoint } from "../api/control/endpoint.ts";
import { type Meta, metaOf } from "../contexts/contexts.ts";
import { UsageError } from "./errors.ts";
import { text } from "./flags.ts";

/** Of `context create` and `context update`. */
export const contextFlags = {
  description: text("", "TEXT", "what it is for"),
  docker: text("", "host=ADDRESS", "the engine: ssh://[USER@]HOST[:PORT][/SOCKET] or unix:///SOCKET"),
};

/** "host=ssh://..." -> "ssh://...". Throws UsageError, `invalid_endpoint`. */
export function hostOf(given: string): string {
  for (const pair of given.split(",")) {
    const [key = "", value = ""] = pair.split(/=(.*)/s);
    if (key === "host") {
      parseEndpoint(value);
      return value;
    }
  }
  throw new UsageError(`--docker ${JSON.stringify(given)}: write host=ssh://ann@engine.example`);
}

/** What the flags make of a context. */
export const changed = (meta: Meta, { description, docker }: { description?: string; docker?: string }): Meta =>
  metaOf(
    meta.Name,
    docker === undefined ? meta.Endpoints.docker.Host : hostOf(docker),
    description ?? meta.Metadata.Description ?? "",
  );
