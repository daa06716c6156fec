/**
 * The words and codes of what goes wrong with a registry. No credential gets into them: they take no header and no query. What others
 * have written is cut and gets in as it can be shown.
 */
import { messageOf, OnggiError } from "../../lib/errors.ts";
import { printable } from "../../lib/printable.ts";

/** A URL for a person to read: without user, query and fragment. */
export const shown = (url: URL): string => printable(`${url.protocol}//${url.host}${url.pathname}`, 300);

/** No answer at all. What says so already stays as it is. */
export const unreachable = (what: string, url: URL, error: unknown): OnggiError => {
  if (error instanceof OnggiError && error.code === "registry_unreachable" && error.message.startsWith(what)) return error;
  const code = (error as { code?: unknown } | null)?.code;
  const why = error instanceof OnggiError ? error.message : `${typeof code === "string" ? `${code}: ` : ""}${messageOf(error)}`;
  return new OnggiError(
    "registry_unreachable",
    `${what}: ${printable(url.host, 300)} cannot be reached (${printable(why, 300)})`,
    {
      cause: error,
    },
  );
};

export const invalidAnswer = (what: string, why: string): OnggiError =>
  new OnggiError("registry_answer_invalid", `${what}: the registry's answer makes no sense: ${why}`);

/** The registry's own words: {"errors": [{"code", "message"}]}, cut and on one line. */
export const ownWords = (body: string): string => {
  try {
    const { errors } = JSON.parse(body) as { errors?: { code?: unknown; message?: unknown }[] };
    const first = errors?.[0];
    const words = [first?.code, first?.message].filter((word) => typeof word === "string" && word !== "").join(": ");
    return words === "" ? "" : `: ${printable(words)}`;
  } catch {
    return "";
  }
};

export type Missing = "manifest_unknown" | "blob_unknown" | "registry_error" | "search_unsupported";

/** An answer that is no success as an error. */
export const refused = (what: string, status: number, body: string, missing: Missing): OnggiError => {
  const words = ownWords(body);
  if (status === 401 || status === 403)
    return new OnggiError(
      "registry_unauthorized",
      `${what}: the registry refuses (${status})${words}; "onggi login" gives it a name and password, or there is no such repository`,
    );
  if (status === 404 && missing === "search_unsupported")
    return new OnggiError(
      missing,
      `${what}: the registry has neither a search nor a catalogue: look on its own pages, and pull by name`,
    );
  if (status === 404) return new OnggiError(missing, `${what}: the registry does not have it (404)${words}`);
  return new OnggiError("registry_error", `${what}: the registry answers ${status}${words}`);
};
