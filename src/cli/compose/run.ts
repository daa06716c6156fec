import { inject } from "../../compose/containers.ts";
import type { Host } from "../../compose/host.ts";
import { shellWords } from "../../compose/load/words.ts";
import { dependenciesOf } from "../../compose/names.ts";
import { prepareOneOff } from "../../compose/one-off.ts";
import type { Project, Service } from "../../compose/project.ts";
import { up } from "../../compose/up.ts";
import { untilDependencies } from "../../compose/wait.ts";
import { omitAbsent } from "../../lib/tables.ts";
import { environment } from "../container-request.ts";
import { line } from "../context.ts";
import { UsageError } from "../errors.ts";
import { bool, choice, list, text, type Values } from "../flags.ts";
import { labelsOf } from "../labels.ts";
import { parseVolume } from "../mounts.ts";
import { parsePublish } from "../ports.ts";
import { finish, openSession } from "../session.ts";
import { type Compose, defineCompose, requireService } from "./command.ts";
import { builds } from "./flags.ts";
import { withHost } from "./host.ts";
import { upOptions } from "./up-options.ts";

const flags = {
  detach: bool("d", "in the background; prints its name"),
  rm: bool("", "remove it when it has ended"),
  env: list("e", "KEY[=VALUE]", "environment variable"),
  "env-from-file": list("", "FILE", "environment variables, one per line", { rare: true, complete: "file" }),
  label: list("l", "KEY[=VALUE]", "label", { rare: true }),
  name: text("", "NAME", "name"),
  user: text("u", "USER[:GROUP]", "user, by name or id"),
  workdir: text("w", "DIR", "working directory inside", { rare: true }),
  entrypoint: text("", "COMMAND", "entry point instead of the image's"),
  volume: list("v", "SOURCE:PATH[:ro]", "mount"),
  publish: list("p", "[HOST:]PORT", "publish a port"),
  "service-ports": bool("P", "publish the service's ports"),
  "use-aliases": bool("", "found in networks by the service's names, too", { rare: true }),
  "no-deps": bool("", "without what the service depends on", { rare: true }),
  "no-tty": bool("T", "without a terminal, even where there is one", { aliases: ["no-TTY"] }),
  interactive: bool("i", "keep standard input open (true)", { rare: true }),
  "cap-add": list("", "NAME", "add a capability", { rare: true }),
  "cap-drop": list("", "NAME", "drop a capability", { rare: true }),
  pull: choice("", ["always", "missing", "never"], "whether images are looked for in their registry", { rare: true }),
  "quiet-pull": bool("", "show nothing of it", { rare: true }),
  quiet: bool("q", "nothing but what the container writes", { rare: true }),
  "remove-orphans": bool("", "remove containers of services that the files do not have", { rare: true }),
  ...builds,
};

export const command = defineCompose({
  refusesDryRun: true,
  usage: "[flags] SERVICE [COMMAND] [ARG...]",
  summary: "run one command in a new container of a service",
  flags,
  args: [1, Number.POSITIVE_INFINITY],
  flagsFirst: true,
  complete: "service",
  exits: "the command's; 126 if the command cannot be executed, 127 if it is not there",
  examples: [["compose run --rm web sh", "a shell; what web depends on is started"]],
  async run(compose, values, [name = "", ...command]) {
    const { context } = compose;
    const project = await compose.project([name]);
    requireService(project, name);
    const detach = values.detach ?? false;
    const terminal = await context.terminal();
    const tty = !values["no-tty"] && !detach && terminal.isTerminal(0) && terminal.isTerminal(1);
    const interactive = !detach && values.interactive !== false;
    const service = await adapted(compose, project.services[name]!, values, command);
    const changed: Project = { ...project, services: { ...project.services, [name]: service } };
    const made = await withHost(compose, "Running", (given) =>
      make(compose, quietly(given, values.quiet), changed, service, values, { tty, interactive }),
    );
    if (detach) {
      await context.call("start", { container: made.id });
      await line(context.stdout, made.name);
      return 0;
    }
    const attach = { stdin: interactive, stdout: true, stderr: true };
    const session = await openSession(context, { attach, tty, detachKeys: undefined, sigProxy: true });
    try {
      const sized = session.size ? { size: session.size } : {};
      const result = await context.call("start", { container: made.id, attach, ...sized }, session.handlers<"start">());
      session.end();
      return await finish(context, result, tty);
    } finally {
      session.end();
    }
  },
});

type Given = Values<typeof flags>;

function entrypointWords(text: string): string[] {
  const split = shellWords(text);
  if (split === undefined) throw new UsageError(`--entrypoint ${text}: a quote is not closed`);
  return split.words;
}

const quietly = (host: Host, quiet = false): Host => (quiet ? { ...host, tell: () => {} } : host);

/** The service as the flags want it. */
async function adapted({ context }: Compose, service: Service, given: Given, command: readonly string[]): Promise<Service> {
  const env = await environment({ env: given.env ?? [], "env-file": given["env-from-file"] ?? [] }, context.env);
  const published = (given.publish ?? [])
    .flatMap(parsePublish)
    .map(({ containerPort, hostIp, hostPort, hostPortEnd, protocol }) => ({
      ...{ target: containerPort, protocol, mode: "ingress" as const },
      ...omitAbsent({
        host_ip: hostIp || undefined,
        published: hostPort === 0 ? undefined : hostPort === hostPortEnd ? `${hostPort}` : `${hostPort}-${hostPortEnd}`,
      }),
    }));
  const { ports = [], restart: _, container_name: __, healthcheck, post_start: ___, ...rest } = service;
  return {
    ...rest,
    ...(command.length > 0 ? { command: [...command] } : {}),
    ...(given.entrypoint === undefined
      ? {}
      : { entrypoint: entrypointWords(given.entrypoint), ...(command.length > 0 ? {} : { command: [] }) }),
    ...omitAbsent({ user: given.user, working_dir: given.workdir, healthcheck }),
    ports: [...(given["service-ports"] ? ports : []), ...published],
    environment: { ...service.environment, ...Object.fromEntries(env.map((pair) => pair.split(/=(.*)/s) as [string, string])) },
    labels: { ...service.labels, ...labelsOf(given.label) },
    cap_add: [...(service.cap_add ?? []), ...(given["cap-add"] ?? [])],
    cap_drop: [...(service.cap_drop ?? []), ...(given["cap-drop"] ?? [])],
  };
}

/** Starts what the service depends on, and creates the container. */
async function make(
  compose: Compose,
  host: Host,
  project: Project,
  service: Service,
  given: Given,
  { tty, interactive }: { tty: boolean; interactive: boolean },
): Promise<{ id: string; name: string }> {
  const options = upOptions(compose, given, []);
  const dependencies = [...dependenciesOf(service)].filter(([name]) => name in project.services);
  if (!given["no-deps"] && dependencies.length > 0) {
    await up(host, project, { ...options, services: dependencies.map(([name]) => name), ignoreOrphans: true });
    await untilDependencies(host, project, service);
  }
  const { request, files } = await prepareOneOff(host, project, service, {
    ...{ name: given.name, pull: given.pull, quiet: given["quiet-pull"] ?? false, useAliases: given["use-aliases"] ?? false },
  });
  const mounts = (given.volume ?? []).map((spec) => parseVolume(spec, compose.context.cwd));
  const { restart: _, ...asked } = request;
  const container = {
    ...asked,
    tty: tty || (request.tty === true && given.detach === true),
    openStdin: interactive || request.openStdin === true,
    ...(interactive ? { stdinOnce: true } : {}),
    ...(given.rm ? { autoRemove: true } : {}),
    mounts: [...(request.mounts ?? []).filter(({ target }) => !mounts.some((mount) => mount.target === target)), ...mounts],
  };
  const { id, warnings } = await host.call("create", { container });
  for (const warning of warnings) host.warn(warning);
  await inject(host, id, files);
  return { id, name: container.name ?? id };
}
