import { command, containerOf, defined } from "./command.ts";
import { criuFlags, criuOptionsOf } from "./criu.ts";

export const checkpoint = command({
  summary: "save a running container's processes to files",
  operands: "<container-id>",
  description: "The container ends, unless an option says otherwise, and can be restored from the files.",
  flags: {
    ...criuFlags,
    "parent-path": { kind: "string", help: "directory of an earlier pre-dump, from the image directory" },
    "leave-running": { kind: "bool", help: "let the container run on" },
    "tcp-skip-in-flight": { kind: "bool", help: "leave out TCP connections that are being made" },
    "link-remap": { kind: "bool", help: "files without a name too" },
    "status-fd": { kind: "int", help: "descriptor that gets a zero byte once lazy pages are served" },
    "page-server": { kind: "string", help: "ADDRESS:PORT of the page server" },
    "pre-dump": { kind: "bool", help: "save memory only, and let the container run on" },
  },
  arity: [1, 1],
  async run(call) {
    const { values, ports } = call;
    const id = containerOf(call);
    const parentPath = values["parent-path"] || undefined;
    if (parentPath?.startsWith("/")) throw new Error("--parent-path must be relative");
    const statusFd = values["status-fd"] ?? -1;
    const options = {
      id,
      ...criuOptionsOf(values, ports),
      ...defined({
        parentPath,
        leaveRunning: values["leave-running"],
        tcpSkipInFlight: values["tcp-skip-in-flight"],
        linkRemap: values["link-remap"],
        statusFd: statusFd < 0 ? undefined : statusFd,
        pageServer: values["page-server"] ? pageServerOf(values["page-server"]) : undefined,
        preDump: values["pre-dump"],
      }),
    };
    const runtime = await call.runtime();
    await runtime.checkpoint(options);
    return 0;
  },
});

/** "host:port", "[v6]:port" */
function pageServerOf(text: string): { address: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):([^:]+)$/.exec(text);
  if (!match) throw new Error("Use --page-server ADDRESS:PORT to specify page server");
  if (!/^\d{1,5}$/.test(match[3]!) || Number(match[3]) > 65_535) throw new Error("Invalid port number");
  return { address: (match[1] ?? match[2])!, port: Number(match[3]) };
}
