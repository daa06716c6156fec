/** What checkpoint and restore have in common: the options of criu(8). */
import type { CriuOptions } from "../../standalone/types.ts";
import { absolute, defined, type RuntimePorts } from "./command.ts";
import type { Flags, Values } from "./parse.ts";

export const criuFlags = {
  "image-path": { kind: "string", help: 'directory of the image files, by default "checkpoint" in the current one' },
  "work-path": { kind: "string", help: "directory of criu's work files and logs" },
  "tcp-established": { kind: "bool", help: "open TCP connections too" },
  "ext-unix-sk": { kind: "bool", help: "unix sockets that lead outside too" },
  "shell-job": { kind: "bool", help: "processes of a terminal outside too" },
  "lazy-pages": { kind: "bool", help: "restore memory on demand, by userfaultfd" },
  "file-locks": { kind: "bool", help: "file locks too" },
  "manage-cgroups-mode": { kind: "string", help: "soft, full, strict or ignore (default: soft)" },
  "empty-ns": { kind: "list", help: "make this namespace, but do not restore what is in it: network" },
  "auto-dedup": { kind: "bool", help: "drop duplicates from the memory images" },
} as const satisfies Flags;

export function criuOptionsOf(values: Values<typeof criuFlags>, ports: RuntimePorts): CriuOptions {
  const mode = values["manage-cgroups-mode"] || undefined;
  if (mode !== undefined && !isMode(mode)) throw new Error("Invalid manage-cgroups-mode value");
  const unknown = values["empty-ns"]?.find((name) => name !== "network");
  if (unknown !== undefined) throw new Error(`namespace ${JSON.stringify(unknown)} is not supported`);
  return {
    imagePath: absolute(ports.cwd, values["image-path"] || "checkpoint")!,
    ...defined({
      workPath: absolute(ports.cwd, values["work-path"]),
      tcpEstablished: values["tcp-established"],
      externalUnixSockets: values["ext-unix-sk"],
      shellJob: values["shell-job"],
      lazyPages: values["lazy-pages"],
      fileLocks: values["file-locks"],
      cgroupsMode: mode,
      autoDedup: values["auto-dedup"],
    }),
  };
}

const isMode = (text: string): text is NonNullable<CriuOptions["cgroupsMode"]> =>
  ["soft", "full", "strict", "ignore"].includes(text);
