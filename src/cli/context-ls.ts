import { DEFAULT } from "../contexts/contexts.ts";
import { messageOf } from "../lib/errors.ts";
import { define } from "./command.ts";
import { type Context, line } from "./context.ts";
import { ContextStore } from "./context-store.ts";
import { bool, text } from "./flags.ts";
import { printRows } from "./listing.ts";

const listing = {
  headers: { Name: "NAME", Description: "DESCRIPTION", DockerEndpoint: "ENDPOINT", Error: "ERROR" },
  columns: ["Name", "Description", "DockerEndpoint", "Error"],
};

export const command = define({
  usage: "[flags]",
  summary: "list contexts",
  flags: { quiet: bool("q", "names only"), format: text("", "TEMPLATE", "table, json or a Go template") },
  args: [0, 0],
  examples: [["context ls -q", "their names"]],
  async run(context, { quiet, format }) {
    const store = new ContextStore(context.env);
    if (quiet) {
      for (const name of [DEFAULT, ...store.names()]) await line(context.stdout, name);
      return 0;
    }
    const current = currentOf(context);
    // as Docker's: of the table only
    const mark = format === undefined || format.startsWith("table") ? " *" : "";
    const rows = [{ name: DEFAULT, ...here(context) }, ...store.names().map((name) => ({ name, ...there(store, name) }))];
    await printRows(
      context,
      listing,
      rows.map(({ name, description, host, error }) => ({
        Name: name === current ? `${name}${mark}` : name,
        Description: description,
        DockerEndpoint: host,
        Current: name === current,
        Error: error,
      })),
      format,
    );
    if (context.env.ONGGI_HOST)
      await line(context.stderr, "Warning: ONGGI_HOST overrides the context that is in use: give --context, or unset it.");
    return 0;
  },
});

/** What is in force; undefined where that is a context which is not there. */
function currentOf(context: Context): string | undefined {
  try {
    return context.selected.context;
  } catch {
    return undefined;
  }
}

const here = ({ env, run }: Context) => ({
  description: "the engine of this host",
  host: env.ONGGI_HOST || `unix://${run}/onggi.sock`,
  error: "",
});

function there(store: ContextStore, name: string): { description: string; host: string; error: string } {
  try {
    const { Metadata, Endpoints } = store.get(name);
    return { description: Metadata.Description ?? "", host: Endpoints.docker.Host, error: "" };
  } catch (error) {
    return { description: "", host: "", error: messageOf(error) };
  }
}
