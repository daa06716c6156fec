import { decimalSize } from "../lib/units.ts";
import { transfer } from "./archive.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { bool } from "./flags.ts";

export const command = define({
  usage: "[flags]",
  summary: "verify the image store: every blob, index and record; exit code 1 if something is wrong",
  flags: {
    repair: bool("", "mend what can be mended, remove what cannot with its records"),
    quick: bool("", "names, sizes and indexes only"),
    json: bool("", "as JSON"),
    quiet: bool("q", "no progress"),
  },
  args: [0, 0],
  exits: "1 if a problem is left",
  examples: [
    ["system check", "find what a bad disk has changed"],
    ["system check --repair", "build indexes again, drop what is lost"],
  ],
  async run(context, values) {
    const request = { ...(values.repair ? { repair: true } : {}), ...(values.quick ? { quick: true } : {}) };
    const report = await transfer(context, "systemCheck", request, { quiet: values.quiet ?? false });
    const left = report.problems.filter(({ repaired }) => repaired === null).length;
    if (values.json) {
      await line(context.stdout, JSON.stringify(report, null, 2));
      return left > 0 ? 1 : 0;
    }
    for (const { kind, image, layer, path, message, advice, repaired } of report.problems) {
      const about = [image && `image ${image.slice(7, 19)}`, layer && `layer ${layer.slice(7, 19)}`].filter(Boolean).join(", ");
      await line(context.stdout, `${kind}: ${about === "" ? "" : `${about}: `}${message}`);
      await line(context.stdout, `    ${path}`);
      await line(context.stdout, `    ${repaired === null ? advice : `repaired: ${repaired}`}`);
    }
    const count = report.problems.length;
    const read = values.quick ? "no blob read" : `${decimalSize(report.bytes)} read`;
    const found = count === 0 ? "no problem" : count === 1 ? "1 problem" : `${count} problems`;
    await line(context.stdout, `${report.images} images, ${read}: ${found}${values.repair && count > 0 ? `, ${left} left` : ""}`);
    return left > 0 ? 1 : 0;
  },
});
