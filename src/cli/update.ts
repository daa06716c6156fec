import type { ContainerChanges, PortReference } from "../api/control/types.ts";
import { define } from "./command.ts";
import { resourceFlags, restartFlag } from "./container-flags.ts";
import { environment, resources } from "./container-request.ts";
import { type Context, line } from "./context.ts";
import { each } from "./each.ts";
import { UsageError } from "./errors.ts";
import { integer, list, type Values } from "./flags.ts";
import { parseMount, parseVolume } from "./mounts.ts";
import { parsePublish } from "./ports.ts";

const flags = {
  ...resourceFlags,
  restart: restartFlag,
  publish: list("p", "[[ADDRESS:]PORT:]PORT", "answer on a port of the host, at once"),
  "publish-rm": list("", "[[ADDRESS:]PORT:]PORT", "answer no longer"),
  volume: list("v", "[SOURCE:]PATH[:OPTIONS]", "mount a volume or a directory"),
  mount: list("", "type=...,target=PATH,...", "the same, spelled out", { rare: true }),
  "mount-rm": list("", "PATH", "take the mount on PATH away", { rare: true }),
  env: list("e", "NAME[=VALUE]", "set a variable"),
  "env-rm": list("", "NAME", "take a variable away", { rare: true }),
  time: integer("t", "SECONDS", "how long it may take to stop", { rare: true }),
};

export const command = define({
  usage: "[flags] CONTAINER...",
  summary: "change limits and ports at once, mounts and variables by a restart",
  flags,
  args: [1, Number.POSITIVE_INFINITY],
  complete: "container",
  examples: [
    ["update -m 128m --cpus 0.5 web", "takes effect at once"],
    ["update --restart unless-stopped web", "from its next end on"],
    ["update -p 8081:80 --publish-rm 8080:80 web", "another port, without a restart"],
    ["update --mount type=volume,source=data,target=/data web", "restarts it; its files are kept"],
  ],
  async run(context, values, args) {
    const wanted = resources(values);
    const { restart } = values;
    const changes = await changesOf(context, values);
    if (!wanted && !restart && !changes)
      throw new UsageError("say what to change, as in --memory 128m; see onggi update --help-all");
    return each(context, args, async (container) => {
      const { warnings } = await context.call("update", {
        container,
        resources: wanted ?? {},
        ...(restart ? { restart } : {}),
        ...(changes ? { changes } : {}),
      });
      for (const warning of warnings) await line(context.stderr, `WARNING: ${warning}`);
      return container;
    });
  },
});

/** Undefined if none of it was given. Throws UsageError. */
async function changesOf({ cwd, env }: Context, given: Values<typeof flags>): Promise<ContainerChanges | undefined> {
  const mounts = [
    ...(given.volume ?? []).map((spec) => parseVolume(spec, cwd)),
    ...(given.mount ?? []).map((spec) => parseMount(spec, cwd)),
  ];
  const changes: ContainerChanges = {
    ...(given.publish ? { publish: given.publish.flatMap(parsePublish) } : {}),
    ...(given["publish-rm"] ? { unpublish: given["publish-rm"].flatMap(portReferences) } : {}),
    ...(mounts.length > 0 ? { mounts } : {}),
    ...(given["mount-rm"] ? { unmount: given["mount-rm"] } : {}),
    ...(given.env ? { env: await environment({ env: given.env }, env) } : {}),
    ...(given["env-rm"] ? { unsetEnv: given["env-rm"] } : {}),
  };
  if (Object.keys(changes).length === 0) return undefined;
  return { ...changes, ...(given.time === undefined ? {} : { timeout: given.time }) };
}

const portReferences = (spec: string): PortReference[] =>
  parsePublish(spec).map(({ protocol, containerPort, hostIp, hostPort }) => ({
    ...{ protocol, containerPort },
    ...(hostIp === "" ? {} : { hostIp }),
    ...(hostPort === 0 ? {} : { hostPort }),
  }));
