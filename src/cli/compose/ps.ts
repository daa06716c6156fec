import type { ContainerInfo } from "../../api/control/types.ts";
import { label } from "../../compose/labels.ts";
import { containersOf, type ObservedContainer } from "../../compose/observe.ts";
import { ellipsis } from "../../lib/table.ts";
import { humanDuration } from "../../lib/units.ts";
import { line } from "../context.ts";
import { UsageError } from "../errors.ts";
import { bool, list, text } from "../flags.ts";
import { createdAt, joinLabels, type Listing, printRows, type Row } from "../listing.ts";
import { portsColumn } from "../ports.ts";
import { defineCompose, requireService } from "./command.ts";

const listing: Listing = {
  headers: {
    ID: "CONTAINER ID",
    Name: "NAME",
    Image: "IMAGE",
    Command: "COMMAND",
    Service: "SERVICE",
    Project: "PROJECT",
    CreatedAt: "CREATED AT",
    RunningFor: "CREATED",
    State: "STATE",
    Status: "STATUS",
    Health: "HEALTH",
    ExitCode: "EXIT CODE",
    Ports: "PORTS",
    Labels: "LABELS",
    Mounts: "MOUNTS",
    Networks: "NETWORKS",
    Size: "SIZE",
  },
  columns: ["Name", "Image", "Command", "Service", "RunningFor", "Status", "Ports"],
};

const states = ["paused", "restarting", "removing", "running", "dead", "created", "exited"];

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "list a project's containers",
  flags: {
    all: bool("a", "those that do not run, too, and those of run"),
    quiet: bool("q", "ids only"),
    services: bool("", "names of services only"),
    status: list("", "STATE", `only those: ${states.join(", ")}`, { complete: states }),
    filter: list("", "status=STATE", "the same", { rare: true }),
    orphans: bool("", "those of services that the files do not have, too (true)", { rare: true }),
    "no-trunc": bool("", "whole ids and commands"),
    format: text("", "TEMPLATE", "table, json or a Go template"),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  examples: [["compose ps --format json", "a line of JSON for each"]],
  async run(compose, values, args) {
    const { context } = compose;
    const { name, project } = await compose.known(args);
    const wanted = [...(values.status ?? []), ...(values.filter ?? []).map(statusOf)];
    const found = await containersOf(context.call, name, {
      services: args,
      all: values.all || wanted.length > 0,
      ...(values.all ? { oneoff: "with" as const } : {}),
    });
    const known = project && { ...project.services, ...project.disabled };
    for (const service of project ? args : []) requireService(project!, service);
    const containers = found.filter(
      (one) =>
        (wanted.length === 0 || wanted.includes(one.state)) && (values.orphans !== false || !known || one.service in known),
    );
    const whole = values["no-trunc"] ?? false;
    if (values.quiet) {
      for (const { id } of containers) await line(context.stdout, id);
      return 0;
    }
    if (values.services) {
      for (const service of new Set(containers.map((one) => one.service))) await line(context.stdout, service);
      return 0;
    }
    const rows = await Promise.all(
      containers.map(async (one) => rowOf(one, await context.call("inspect", { container: one.id }), whole, Date.now() / 1000)),
    );
    await printRows(context, listing, rows, values.format);
    return 0;
  },
});

function statusOf(filter: string): string {
  const [, state] = /^status=(.+)$/.exec(filter) ?? [];
  if (state === undefined) throw new UsageError(`--filter "${filter}": write status=STATE`);
  return state;
}

function rowOf(container: ObservedContainer, { health, state, mounts }: ContainerInfo, whole: boolean, now: number): Row {
  const { id, name, service, summary } = container;
  const { image, command, created, labels, networks, ports } = summary;
  return {
    Command: JSON.stringify(whole ? command : ellipsis(command, 20)),
    CreatedAt: createdAt(created),
    ExitCode: state.status === "exited" || state.status === "dead" ? state.exitCode : 0,
    Health: state.status === "running" ? (health?.status ?? "") : "",
    ID: whole ? id : id.slice(0, 12),
    Image: image,
    Labels: joinLabels(labels),
    LocalVolumes: `${mounts.filter(({ type }) => type === "volume").length}`,
    Mounts: mounts.map((mount) => mount.name ?? mount.source).join(","),
    Name: name,
    Names: name,
    Networks: networks.join(","),
    Ports: portsColumn(ports),
    Project: labels[label.project] ?? "",
    Publishers: ports.map(({ hostIp, containerPort, hostPort, protocol }) => ({
      ...{ URL: hostIp, TargetPort: containerPort, PublishedPort: hostPort, Protocol: protocol },
    })),
    RunningFor: `${humanDuration(now - created)} ago`,
    Service: service,
    Size: "0B",
    State: container.state,
    Status: summary.status,
    Label: (key: unknown) => labels[String(key)] ?? "",
  };
}
