import type { Entry } from "../command.ts";

const entry = (summary: string, load: Entry["load"]): Entry => ({ summary, load });

const config = entry("check the files, print the project they make", async () => (await import("./config.ts")).command);

/** The commands of compose by name; modules are loaded when called. */
export const composeCommands: Readonly<Record<string, Entry>> = {
  up: entry("make a project's containers and start them", async () => (await import("./up.ts")).command),
  down: entry("stop a project, remove its containers and networks", async () => (await import("./down.ts")).command),
  ps: entry("list a project's containers", async () => (await import("./ps.ts")).command),
  logs: entry("show what a project's containers wrote", async () => (await import("./logs.ts")).command),
  run: entry("run one command in a new container of a service", async () => (await import("./run.ts")).command),
  exec: entry("run a command in a service's container", async () => (await import("./exec.ts")).command),
  attach: entry("attach to a service's container", async () => (await import("./attach.ts")).command),
  ls: entry("list projects", async () => (await import("./ls.ts")).command),
  create: entry("make a project's containers without starting them", async () => (await import("./create.ts")).command),
  start: entry("start a project's containers", async () => (await import("./start.ts")).command),
  stop: entry("stop a project's containers", async () => (await import("./stop.ts")).command),
  restart: entry("stop a project's containers and start them again", async () => (await import("./restart.ts")).command),
  kill: entry("send a signal to a project's containers", async () => (await import("./kill.ts")).command),
  rm: entry("remove containers that do not run", async () => (await import("./rm.ts")).command),
  pause: entry("freeze a project's containers", async () => (await import("./pause.ts")).command),
  unpause: entry("let frozen containers go on", async () => (await import("./unpause.ts")).command),
  scale: entry("have so many containers of services", async () => (await import("./scale.ts")).command),
  wait: entry("wait until a service's container ends", async () => (await import("./wait.ts")).command),
  top: entry("list the processes of a project's containers", async () => (await import("./top.ts")).command),
  stats: entry("show what a project's containers use, live", async () => (await import("./stats.ts")).command),
  events: entry("show what happens to a project's containers, live", async () => (await import("./events.ts")).command),
  port: entry("show where the host answers for a service's port", async () => (await import("./port.ts")).command),
  cp: entry("copy files in and out of a service's containers", async () => (await import("./cp.ts")).command),
  images: entry("list the images of a project's containers", async () => (await import("./images.ts")).command),
  volumes: entry("list a project's volumes", async () => (await import("./volumes.ts")).command),
  pull: entry("bring the images of a project's services", async () => (await import("./pull.ts")).command),
  push: entry("send images of services to their registries", async () => (await import("./push.ts")).command),
  build: entry("build images: there is no builder yet", async () => (await import("./build.ts")).command),
  export: entry("write a service's container's file system as a tar", async () => (await import("./export.ts")).command),
  commit: entry("make an image of a service's container", async () => (await import("./commit.ts")).command),
  watch: entry("keep files in containers as they are here", async () => (await import("./watch.ts")).command),
  version: entry("show the version of compose", async () => (await import("./version.ts")).command),
  config,
  convert: { ...config, hidden: true },
};
