import { bool, text } from "./flags.ts";

/** Flags before the command. */
export const globalFlags = {
  host: text("H", "ADDRESS", "an engine elsewhere, ssh://... or unix://... (ONGGI_HOST)"),
  context: text("c", "NAME", "the engine of a context (ONGGI_CONTEXT)", { complete: "context" }),
  root: text("", "DIR", "data root (ONGGI_ROOT, /var/lib/onggi)", { complete: "directory" }),
  run: text("", "DIR", "run directory with the socket (ONGGI_RUN, /run/onggi)", { complete: "directory" }),
  version: bool("v", "version"),
};
