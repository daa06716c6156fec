import { up } from "../../compose/up.ts";
import { untilAll } from "../../compose/wait.ts";
import { UsageError } from "../errors.ts";
import { bool, choice, integer, list, text } from "../flags.ts";
import { defineCompose } from "./command.ts";
import { builds, scales, timeout } from "./flags.ts";
import { withHost } from "./host.ts";
import { withScales } from "./scales.ts";
import { type UpFlags, upOptions } from "./up-options.ts";

export const command = defineCompose({
  usage: "[flags] [SERVICE...]",
  summary: "make a project's containers and start them",
  flags: {
    detach: bool("d", "leave them running in the background"),
    wait: bool("", "until all are healthy or run; in the background"),
    "wait-timeout": integer("", "SECONDS", "at most so long", { rare: true }),
    scale: scales,
    "force-recreate": bool("", "make all containers anew"),
    "no-recreate": bool("", "leave containers that are there as they are", { rare: true }),
    "always-recreate-deps": bool("", "make dependencies anew, too", { rare: true }),
    "no-deps": bool("", "without what the services depend on", { rare: true }),
    "no-start": bool("", "create, do not start", { rare: true }),
    rolling: bool("", "start the new before the old stops"),
    "remove-orphans": bool("", "remove containers of services that are gone"),
    "renew-anon-volumes": bool("V", "with new anonymous volumes", { rare: true }),
    pull: choice("", ["always", "missing", "never"], "when registries are asked for images"),
    "quiet-pull": bool("", "show nothing of it", { rare: true }),
    ...builds,
    timeout: { ...timeout, rare: true },
    "abort-on-container-exit": bool("", "stop all when one has ended", { rare: true }),
    "abort-on-container-failure": bool("", "stop all when one has failed", { rare: true }),
    "exit-code-from": text("", "SERVICE", "end as this service ends, and stop all then", { complete: "service" }),
    attach: list("", "SERVICE", "show the output of these alone", { rare: true }),
    "no-attach": list("", "SERVICE", "not that of these", { rare: true }),
    "attach-dependencies": bool("", "show that of dependencies, too", { rare: true }),
    "no-color": bool("", "without colours", { rare: true }),
    "no-log-prefix": bool("", "without the containers' names", { rare: true }),
    timestamps: bool("", "with the time of every line", { rare: true }),
    watch: bool("w", "do what develop.watch says, as compose watch"),
    yes: bool("y", "ask nothing", { rare: true }),
  },
  args: [0, Number.POSITIVE_INFINITY],
  complete: "service",
  exits: "with --exit-code-from that service's, 130 after Ctrl-C",
  examples: [
    ["compose up -d", "all of compose.yaml, in the background"],
    ["compose up --wait web", "web and what it needs, until they are healthy"],
  ],
  async run(compose, values, args) {
    refuseConflicts(values);
    const detach = values.detach || values.wait || values["no-start"] || compose.globals["dry-run"];
    const project = withScales(await compose.project(args), values.scale ?? []);
    const options = upOptions(compose, values, args);
    if (!detach) {
      const { attached } = await import("./attached.ts");
      return attached(compose, project, options, values);
    }
    await withHost(compose, values["no-start"] ? "Creating" : "Running", async (host) => {
      const { containers } = await up(host, project, options);
      if (values.wait) await untilAll(host, containers, "healthy or running", values["wait-timeout"]);
    });
    return 0;
  },
});

function refuseConflicts(values: UpFlags): void {
  const pairs = [
    ["force-recreate", "no-recreate"],
    ["always-recreate-deps", "no-recreate"],
    ["renew-anon-volumes", "no-recreate"],
    ["abort-on-container-exit", "abort-on-container-failure"],
    ["attach", "attach-dependencies"],
  ];
  const inBackground = [
    "abort-on-container-exit",
    "abort-on-container-failure",
    "attach",
    "attach-dependencies",
    "exit-code-from",
    "watch",
  ];
  for (const word of ["detach", "wait", "no-start"]) pairs.push(...inBackground.map((other) => [word, other]));
  for (const [one = "", other = ""] of pairs)
    if (values[one] && values[other]) throw new UsageError(`--${one} and --${other} exclude each other`);
}
