import type { RuntimeInfo } from "../api/control/types.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool, text } from "./flags.ts";
import { type Listing, printRows, type Row } from "./listing.ts";

const headers: Listing["headers"] = {
  Name: "NAME",
  Path: "PATH",
  Version: "VERSION",
  Oci: "OCI",
  Features: "FEATURES",
  Default: "DEFAULT",
};

export const command = define({
  usage: "[flags]",
  summary: "list the OCI runtimes containers can be made by",
  flags: {
    quiet: bool("q", "names only"),
    json: bool("", "as JSON lines, the same as --format json"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, 0],
  examples: [["system runtimes --format '{{.Name}} {{.Version}}'", "a form of your own"]],
  async run(context, values) {
    const { runtimes } = await context.call("runtimes", {});
    if (values.quiet) {
      for (const { name } of runtimes) await line(context.stdout, name);
      return 0;
    }
    const columns = ["Name", "Path", "Version", "Oci", "Features"];
    await printRows(context, { headers, columns }, runtimes.map(rowOf), values.json ? "json" : values.format);
    for (const { name, problem } of runtimes) {
      if (problem !== "") await line(context.stderr, `WARNING: ${name}: ${problem}`);
    }
    return 0;
  },
});

const rowOf = (runtime: RuntimeInfo): Row => ({
  Name: runtime.name,
  Path: runtime.path === "" ? "built in" : runtime.path,
  Version: runtime.version,
  Oci: runtime.oci,
  Features: runtime.features.join(","),
  Default: runtime.default,
});
