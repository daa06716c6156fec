/** From a container to what its log is forwarded by. */
import { hostname } from "node:os";
import { join } from "node:path";
import { compile } from "../lib/template.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import type { ContainerRecord } from "./database.ts";
import { containerPaths } from "./layout.ts";
import type { LogSink } from "./log-forward.ts";
import { fieldName, JournaldSink } from "./log-journald.ts";
import { isForwarded, logAttributes, syslogOptions } from "./log-options.ts";
import { SyslogSink } from "./log-syslog.ts";

/** How long a container that is removed is kept for what its log's receiver has not taken. */
const PATIENCE_MS = 3000;

/** The tag that a container's entries go by: the option's template, with Docker's fields. */
function tagOf(record: ContainerRecord, template: string): string {
  const { id, name, imageId, request, args } = record;
  const shortId = (digest: string) => digest.replace(/^sha256:/, "").slice(0, 12);
  return compile(template)({
    ...{ ID: shortId(id), FullID: id, Name: name, FullName: `/${name}` },
    ...{ ImageID: shortId(imageId), ImageFullID: imageId, ImageName: request.image, ImageFullName: request.image },
    ...{ DaemonName: "onggi", Command: args.join(" "), Hostname: hostname() },
  });
}

/** Labels and variables of a container that go with its entries, as `logs --details` shows them; a tag, if one was asked for. */
export function attributesOf(context: Context, record: ContainerRecord): Record<string, string> {
  const { options = {} } = record.request.log ?? {};
  const image = record.imageId === "" ? {} : context.images.get(record.imageId).config.config;
  const labels = { ...image.Labels, ...record.request.labels };
  const found = logAttributes(options, labels, [...(image.Env ?? []), ...(record.request.env ?? [])]);
  return options.tag ? { tag: tagOf(record, options.tag), ...found } : found;
}

function sinkOf(context: Context, record: ContainerRecord): LogSink {
  const { driver, options = {} } = record.request.log ?? {};
  const tag = tagOf(record, options.tag || "{{.ID}}");
  if (driver === "syslog") return new SyslogSink(syslogOptions(options), tag);
  const { tag: _, ...attributes } = attributesOf(context, record);
  return new JournaldSink({
    ...Object.fromEntries(Object.entries(attributes).map(([name, value]) => [fieldName(name), value])),
    CONTAINER_ID: record.id.slice(0, 12),
    CONTAINER_ID_FULL: record.id,
    CONTAINER_NAME: record.name,
    CONTAINER_TAG: tag,
    IMAGE_NAME: record.request.image,
    SYSLOG_IDENTIFIER: tag,
  });
}

/** Forwards a container's log, if it is to be, until `ended`. */
export function forwardLog(context: Context, { record }: Container, ended: Promise<unknown>): void {
  if (!isForwarded(record.request.log)) return;
  const { directory, log } = containerPaths(context.layout, record.id, record.logFile);
  const job = { id: record.id, path: log, positionPath: join(directory, "log.position"), sink: () => sinkOf(context, record) };
  context.forwards.follow(job, ended);
}

/** Of a container that has ended and whose files are about to go: sends the rest, also what it wrote while there was no engine. */
export async function finishForwarding(context: Context, container: Container): Promise<void> {
  if (!isForwarded(container.record.request.log) || context.closing) return;
  forwardLog(context, container, Promise.resolve());
  await context.forwards.finish(container.id, PATIENCE_MS);
}

/** What the former engine has not sent of containers that do not run. */
export function forwardRests(context: Context): void {
  for (const container of context.containers.values()) if (!container.isUp) forwardLog(context, container, Promise.resolve());
}
