import type { Entry, Group } from "./command.ts";
import { composeCommands } from "./compose/commands.ts";
import { composeFlags } from "./compose/flags.ts";

/** Every command by name: a line for the help, and where its module is. Modules are loaded when called, and only then. */

const entry = (summary: string, load: Entry["load"], hidden?: boolean): Entry => ({
  summary,
  load,
  ...(hidden ? { hidden } : {}),
});

const run = entry("create and start a container", async () => (await import("./run.ts")).command);
const create = entry("create a container", async () => (await import("./create.ts")).command);
const start = entry("start containers", async () => (await import("./start.ts")).command);
const stop = entry("stop containers", async () => (await import("./stop.ts")).command);
const kill = entry("send a signal to containers", async () => (await import("./kill.ts")).command);
const rm = entry("remove containers", async () => (await import("./rm.ts")).command);
const ps = entry("list containers", async () => (await import("./ps.ts")).command);
const logs = entry("show what a container wrote", async () => (await import("./logs.ts")).command);
const exec = entry("run a command in a running container", async () => (await import("./exec.ts")).command);
const attach = entry("attach to a running container", async () => (await import("./attach.ts")).command);
const inspect = entry("show everything about containers and images", async () => (await import("./inspect.ts")).command);
const inspectContainer = entry("show everything about containers", async () => (await import("./inspect.ts")).containerCommand);
const inspectImage = entry("show everything about images", async () => (await import("./inspect.ts")).imageCommand);
const pause = entry("freeze containers", async () => (await import("./pause.ts")).command);
const unpause = entry("let frozen containers go on", async () => (await import("./unpause.ts")).command);
const wait = entry("wait until containers end, print their exit codes", async () => (await import("./wait.ts")).command);
const stats = entry("show what containers use, live", async () => (await import("./stats.ts")).command);
const update = entry("change the limits of containers", async () => (await import("./update.ts")).command);
const events = entry("show what happens, live", async () => (await import("./events.ts")).command);
const diff = entry("show what a container has changed in its file system", async () => (await import("./diff.ts")).command);
const exportTar = entry("write a container's file system as a tar", async () => (await import("./export.ts")).command);
const cp = entry("copy files in and out of containers", async () => (await import("./cp.ts")).command);
const commit = entry("make an image of a container", async () => (await import("./commit.ts")).command);
const snapshotCreate = entry(
  "keep a container's files as they are now",
  async () => (await import("./snapshot-create.ts")).command,
);
const snapshotLs = entry("list snapshots", async () => (await import("./snapshot-ls.ts")).command);
const snapshotRm = entry("remove snapshots", async () => (await import("./snapshot-rm.ts")).command);
const fork = entry("make containers with the files of one, or of a snapshot", async () => (await import("./fork.ts")).command);
const images = entry("list images", async () => (await import("./images.ts")).command);
const rmi = entry("remove images", async () => (await import("./rmi.ts")).command);
const importImage = entry("make an image of a root file system tar", async () => (await import("./import.ts")).command);
const load = entry("load images from an archive", async () => (await import("./load.ts")).command);
const pull = entry("bring an image from a registry", async () => (await import("./pull.ts")).command);
const search = entry("look for images in a registry", async () => (await import("./search.ts")).command);
const save = entry("save images to an archive", async () => (await import("./save.ts")).command);
const history = entry("show what an image's layers were made by", async () => (await import("./history.ts")).command);
const imageMount = entry("show an image's files at a path, read-only", async () => (await import("./image-mount.ts")).command);
const imageUnmount = entry("take mounts of images away", async () => (await import("./image-unmount.ts")).command);
const imageSign = entry("sign an image in a registry", async () => (await import("./image-sign.ts")).command);
const imageVerify = entry("check that an image in a registry is signed", async () => (await import("./image-verify.ts")).command);
const imageReferrers = entry("show what refers to an image", async () => (await import("./image-referrers.ts")).command);
const imageAttach = entry("store files beside an image", async () => (await import("./image-attach.ts")).command);
const imageDetach = entry("remove what refers to an image", async () => (await import("./image-detach.ts")).command);
const imageFetch = entry("fetch files that are stored beside an image", async () => (await import("./image-fetch.ts")).command);
const imagePrune = entry("remove images that nothing needs", async () => (await import("./image-prune.ts")).command);
const containerPrune = entry("remove containers that do not run", async () => (await import("./container-prune.ts")).command);
const systemPrune = entry("remove what nothing needs", async () => (await import("./system-prune.ts")).command);
const systemGc = entry("remove images that nobody has used for long", async () => (await import("./system-gc.ts")).command);
const imageTree = entry(
  "show layers, who shares them, and what they waste",
  async () => (await import("./image-tree.ts")).command,
);
const systemDf = entry("show what images, containers and volumes take", async () => (await import("./system-df.ts")).command);
const systemCheck = entry("verify the image store, and repair it", async () => (await import("./system-check.ts")).command);
const contextCreate = entry("give an engine elsewhere a name", async () => (await import("./context-create.ts")).command);
const contextLs = entry("list contexts", async () => (await import("./context-ls.ts")).command);
const contextUse = entry("have commands go to a context's engine", async () => (await import("./context-use.ts")).command);
const contextShow = entry("print the context in force", async () => (await import("./context-show.ts")).command);
const contextInspect = entry("show everything about contexts", async () => (await import("./context-inspect.ts")).command);
const contextUpdate = entry("change a context", async () => (await import("./context-update.ts")).command);
const contextRm = entry("remove contexts", async () => (await import("./context-rm.ts")).command);
const contextExport = entry("write a context to a file", async () => (await import("./context-export.ts")).command);
const contextImport = entry("make a context of a file", async () => (await import("./context-import.ts")).command);
const systemDialStdio = entry(
  "connect standard input and output to the engine",
  async () => (await import("./system-dial-stdio.ts")).command,
);
const manifestAnnotate = entry(
  "say what a member of a list is for",
  async () => (await import("./manifest-annotate.ts")).command,
);
const manifestCreate = entry(
  "make a list of images for several platforms",
  async () => (await import("./manifest-create.ts")).command,
);
const manifestInspect = entry(
  "show a list, or a manifest in a registry",
  async () => (await import("./manifest-inspect.ts")).command,
);
const manifestLs = entry("show the lists that are here", async () => (await import("./manifest-ls.ts")).command);
const manifestPush = entry("send a list to the registry its name says", async () => (await import("./manifest-push.ts")).command);
const manifestRm = entry("remove lists", async () => (await import("./manifest-rm.ts")).command);
const networkCreate = entry("make a network", async () => (await import("./network-create.ts")).command);
const networkLs = entry("list networks", async () => (await import("./network-ls.ts")).command);
const networkInspect = entry("show everything about networks", async () => (await import("./network-inspect.ts")).command);
const networkRm = entry("remove networks", async () => (await import("./network-rm.ts")).command);
const networkPrune = entry("remove networks that nobody is in", async () => (await import("./network-prune.ts")).command);
const networkConnect = entry("put a container into a network", async () => (await import("./network-connect.ts")).command);
const networkDisconnect = entry("take a container out of one", async () => (await import("./network-disconnect.ts")).command);
const nodeJoin = entry("share overlay networks with other hosts", async () => (await import("./node-join.ts")).command);
const nodeLeave = entry("share them no longer", async () => (await import("./node-leave.ts")).command);
const nodeLs = entry("list the hosts that share them", async () => (await import("./node-ls.ts")).command);
const nodeRm = entry("forget hosts that are down for good", async () => (await import("./node-rm.ts")).command);
const nodeStatus = entry("show how this host stands with them", async () => (await import("./node-status.ts")).command);
const networkExplain = entry("show what a network is in the kernel", async () => (await import("./network-explain.ts")).command);
const port = entry("show where the host answers for a container", async () => (await import("./port.ts")).command);
const volumeCreate = entry("make a volume", async () => (await import("./volume-create.ts")).command);
const volumeLs = entry("list volumes", async () => (await import("./volume-ls.ts")).command);
const volumeInspect = entry("show everything about volumes", async () => (await import("./inspect.ts")).volumeCommand);
const volumeRm = entry("remove volumes", async () => (await import("./volume-rm.ts")).command);
const volumePrune = entry("remove volumes that nothing needs", async () => (await import("./volume-prune.ts")).command);
const volumeExport = entry("write a volume's files as a tar", async () => (await import("./volume-export.ts")).command);
const volumeImport = entry("fill a volume from a tar", async () => (await import("./volume-import.ts")).command);
const volumeClone = entry("make a volume with another one's files", async () => (await import("./volume-clone.ts")).command);
const volumeCp = entry("copy files in and out of volumes", async () => (await import("./volume-cp.ts")).command);
const push = entry("send an image to a registry", async () => (await import("./push.ts")).command);
const login = entry("keep the credentials for a registry", async () => (await import("./login.ts")).command);
const restart = entry("stop containers and start them again", async () => (await import("./restart.ts")).command);
const rename = entry("give a container another name", async () => (await import("./rename.ts")).command);
const top = entry("list the processes of a container", async () => (await import("./top.ts")).command);
const tag = entry("give an image another name", async () => (await import("./tag.ts")).command);
const logout = entry("forget the credentials for a registry", async () => (await import("./logout.ts")).command);
const bootstrap = entry(
  "make an image of this host's busybox or of Debian",
  async () => (await import("./bootstrap.ts")).command,
);
const engineStart = entry("start the engine", async () => (await import("./engine-start.ts")).command);
const engineStop = entry("stop the engine; containers run on", async () => (await import("./engine-stop.ts")).command);
const engineStatus = entry("show the engine's state", async () => (await import("./engine-status.ts")).command);
const engineReload = entry("have the engine read its settings anew", async () => (await import("./engine-reload.ts")).command);
const engineConfig = entry("show what the engine is set to", async () => (await import("./engine-config.ts")).command);
const engineLogs = entry("show the engine's log", async () => (await import("./engine-logs.ts")).command);
const engineResolver = entry(
  "answer containers' questions for names",
  async () => (await import("./engine-resolver.ts")).command,
  true,
);
const runtimes = entry("list the OCI runtimes containers can be made by", async () => (await import("./runtimes.ts")).command);
const info = entry("show the engine, its host and what lies on it", async () => (await import("./info.ts")).command);
const systemGenerator = entry(
  "make services of systemd of .container files and the like",
  async () => (await import("./system-generator.ts")).command,
);
const explain = entry("show every kernel call a container would take", async () => (await import("./explain.ts")).command);
const version = entry("show the versions", async () => (await import("./version.ts")).command);
const completion = entry("print a shell completion script", async () =>
  (await import("./completion.ts")).completionOf(commands, groups),
);
const complete = entry("print names to complete with", async () => (await import("./complete.ts")).command, true);

export const commands: Readonly<Record<string, Entry>> = {
  run,
  exec,
  ps,
  port,
  logs,
  attach,
  create,
  start,
  stop,
  restart,
  kill,
  rm,
  pause,
  unpause,
  wait,
  rename,
  inspect,
  top,
  stats,
  update,
  diff,
  cp,
  export: exportTar,
  commit,
  fork,
  events,
  images,
  pull,
  search,
  push,
  import: importImage,
  load,
  save,
  tag,
  rmi,
  login,
  logout,
  history,
  explain,
  info,
  version,
  completion,
  __complete: complete,
};

export const groups: Readonly<Record<string, Group>> = {
  container: {
    summary: "containers",
    commands: {
      ls: ps,
      run,
      create,
      start,
      stop,
      restart,
      kill,
      rm,
      logs,
      exec,
      attach,
      inspect: inspectContainer,
      port,
      pause,
      unpause,
      wait,
      rename,
      top,
      stats,
      update,
      diff,
      cp,
      export: exportTar,
      commit,
      fork,
      prune: containerPrune,
      ps: { ...ps, hidden: true },
      list: { ...ps, hidden: true },
      remove: { ...rm, hidden: true },
    },
  },
  compose: { summary: "projects of several containers, from compose files", flags: composeFlags, commands: composeCommands },
  network: {
    summary: "networks",
    commands: {
      create: networkCreate,
      ls: networkLs,
      inspect: networkInspect,
      rm: networkRm,
      prune: networkPrune,
      connect: networkConnect,
      disconnect: networkDisconnect,
      explain: networkExplain,
      list: { ...networkLs, hidden: true },
      remove: { ...networkRm, hidden: true },
    },
  },
  node: {
    summary: "hosts that share overlay networks",
    commands: { join: nodeJoin, leave: nodeLeave, ls: nodeLs, rm: nodeRm, status: nodeStatus, list: { ...nodeLs, hidden: true } },
  },
  image: {
    summary: "images",
    commands: {
      ls: images,
      inspect: inspectImage,
      rm: rmi,
      bootstrap,
      import: importImage,
      load,
      pull,
      push,
      save,
      tag,
      history,
      tree: imageTree,
      mount: imageMount,
      unmount: imageUnmount,
      umount: { ...imageUnmount, hidden: true },
      prune: imagePrune,
      referrers: imageReferrers,
      attach: imageAttach,
      fetch: imageFetch,
      detach: imageDetach,
      sign: imageSign,
      verify: imageVerify,
      list: { ...images, hidden: true },
      remove: { ...rmi, hidden: true },
    },
  },
  manifest: {
    summary: "lists of images for several platforms",
    commands: {
      create: manifestCreate,
      annotate: manifestAnnotate,
      inspect: manifestInspect,
      push: manifestPush,
      rm: manifestRm,
      ls: manifestLs,
    },
  },
  volume: {
    summary: "files that outlive containers",
    commands: {
      create: volumeCreate,
      ls: volumeLs,
      inspect: volumeInspect,
      rm: volumeRm,
      prune: volumePrune,
      export: volumeExport,
      import: volumeImport,
      clone: volumeClone,
      cp: volumeCp,
      list: { ...volumeLs, hidden: true },
      remove: { ...volumeRm, hidden: true },
    },
  },
  context: {
    summary: "names for engines elsewhere",
    commands: {
      create: contextCreate,
      ls: contextLs,
      use: contextUse,
      show: contextShow,
      inspect: contextInspect,
      update: contextUpdate,
      rm: contextRm,
      export: contextExport,
      import: contextImport,
      list: { ...contextLs, hidden: true },
      remove: { ...contextRm, hidden: true },
    },
  },
  snapshot: {
    summary: "files of containers at one moment",
    otherwise: "create",
    commands: {
      create: snapshotCreate,
      ls: snapshotLs,
      rm: snapshotRm,
      list: { ...snapshotLs, hidden: true },
      remove: { ...snapshotRm, hidden: true },
    },
  },
  engine: {
    summary: "the engine that runs in the background",
    commands: {
      start: engineStart,
      stop: engineStop,
      status: engineStatus,
      config: engineConfig,
      reload: engineReload,
      logs: engineLogs,
      resolver: engineResolver,
    },
  },
  system: {
    summary: "what this machine offers, and the store",
    commands: {
      runtimes,
      info,
      df: systemDf,
      events,
      prune: systemPrune,
      gc: systemGc,
      check: systemCheck,
      generator: systemGenerator,
      "dial-stdio": systemDialStdio,
    },
  },
};
