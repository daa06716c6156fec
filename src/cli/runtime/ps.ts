import { command, containerOf } from "./command.ts";

export const ps = command({
  summary: "list the processes of a container",
  operands: "<container-id> [ps options]",
  description: "The options are those of the host's ps(1), by default -ef; its output must have a PID column.",
  flags: { format: { kind: "string", short: "f", help: 'table or json (default: "table")' } },
  arity: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  async run(call) {
    const { values, ports, args } = call;
    const id = containerOf(call);
    const pids = await (await call.runtime()).processes(id);
    const { format = "table" } = values;
    if (format === "json") ports.stdout(`${JSON.stringify(pids)}\n`);
    else if (format === "table") {
      const lines = rowsOf(await hostPs(args.length > 1 ? args.slice(1) : ["-ef"]), new Set(pids));
      ports.stdout(`${lines.join("\n")}\n`);
    } else throw new Error("invalid format option");
    return 0;
  },
});

async function hostPs(options: readonly string[]): Promise<string> {
  const path = Bun.which("ps");
  if (!path) throw new Error('exec: "ps": executable file not found in $PATH');
  const child = Bun.spawn([path, ...options], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [output, errors, status] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (status !== 0) throw new Error(`exit status ${status}: ${output}${errors}`);
  return output;
}

/** The heading and the lines whose PID column holds one of `pids`. */
function rowsOf(output: string, pids: ReadonlySet<number>): string[] {
  const [heading = "", ...lines] = output.split("\n");
  const fields = (line: string) => line.trim().split(/\s+/);
  const column = fields(heading).indexOf("PID");
  if (column < 0) throw new Error("couldn't find PID field in ps output");
  return [heading, ...lines.filter((line) => line !== "" && pids.has(Number(fields(line)[column])))];
}
