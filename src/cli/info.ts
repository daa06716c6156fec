import { compile, toJson } from "../lib/template.ts";
import { binarySize } from "../lib/units.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";
import { text } from "./flags.ts";

/** What of Docker's Info is shown. */
interface Info {
  readonly Plugins: { readonly Volume: string[]; readonly Network: string[]; readonly Log: string[] };
  readonly Runtimes: Record<string, unknown>;
  readonly SecurityOptions: string[];
  readonly CDISpecDirs: string[];
  readonly DiscoveredDevices: { readonly ID: string }[];
  readonly MemTotal: number;
  readonly [field: string]: unknown;
}

const shown: readonly (readonly [title: string, of: (info: Info) => unknown])[] = [
  ["Containers", (info) => info.Containers],
  [" Running", (info) => info.ContainersRunning],
  [" Paused", (info) => info.ContainersPaused],
  [" Stopped", (info) => info.ContainersStopped],
  ["Images", (info) => info.Images],
  ["Server Version", (info) => info.ServerVersion],
  ["Storage Driver", (info) => info.Driver],
  ["Logging Driver", (info) => info.LoggingDriver],
  ["Cgroup Driver", (info) => info.CgroupDriver],
  ["Cgroup Version", (info) => info.CgroupVersion],
  ["Plugins", () => ""],
  [" Volume", (info) => info.Plugins.Volume.join(" ")],
  [" Network", (info) => info.Plugins.Network.join(" ")],
  [" Log", (info) => info.Plugins.Log.join(" ")],
  ["Runtimes", (info) => Object.keys(info.Runtimes).join(" ")],
  ["Default Runtime", (info) => info.DefaultRuntime],
  ["Security Options", (info) => info.SecurityOptions.map((option) => option.replace(/^name=/, "")).join(" ")],
  ["CDI Spec Directories", (info) => info.CDISpecDirs.join(" ")],
  ["Devices", (info) => info.DiscoveredDevices.map(({ ID }) => ID).join(" ")],
  ["Kernel Version", (info) => info.KernelVersion],
  ["Operating System", (info) => info.OperatingSystem],
  ["OSType", (info) => info.OSType],
  ["Architecture", (info) => info.Architecture],
  ["CPUs", (info) => info.NCPU],
  ["Total Memory", (info) => binarySize(info.MemTotal)],
  ["Name", (info) => info.Name],
  ["ID", (info) => info.ID],
  ["Root Dir", (info) => info.DockerRootDir],
];

export const command = define({
  usage: "[flags]",
  summary: "show the engine, its host and what lies on it",
  flags: { format: text("f", "TEMPLATE", "json or a Go template of Docker's fields") },
  args: [0, 0],
  examples: [
    ["info", "all of it"],
    ["info -f '{{.ServerVersion}} {{.NCPU}}'", "some of it"],
  ],
  async run(context, values) {
    const { info } = await context.call("info", {});
    if (values.format !== undefined) {
      await line(context.stdout, values.format === "json" ? toJson(info) : compile(values.format)(info));
      return 0;
    }
    await line(context.stdout, shown.map(([title, of]) => `${title}: ${of(info as Info)}`.trimEnd()).join("\n"));
    return 0;
  },
});
