/** The control protocol's calls on top of the engine: shapes in, shapes out, no rule of the domain. */

import { applyChanges, type ClientStreams, type Engine, Trace } from "../../engine/index.ts";
import type { Image, Reloaded } from "../../engine/types.ts";
import { streamOf } from "../../lib/streams.ts";
import { fixedWidth } from "../../lib/time.ts";
import { dockerInfo } from "../shapes/info.ts";
import type { AttachStreams, CallName } from "./protocol.ts";
import type { Call, Handlers } from "./server.ts";

type Attaching = "run" | "start" | "attach" | "exec";

const nothing: AttachStreams = { stdin: false, stdout: false, stderr: false };

function streamsOf<K extends Attaching>(call: Call<K>, attach: AttachStreams = nothing, sigProxy = false): ClientStreams {
  return {
    ...attach,
    sigProxy,
    signal: call.signal,
    output: (stream, data) => (stream === "stdout" ? call.stdout(data) : call.stderr(data)),
    input: call.stdin,
    onResize: (listener) => call.onResize(listener),
    onSignal: (listener) => call.onSignal(listener),
    onDetach: (listener) => call.onDetach(listener),
  };
}

/** What an import or load reads: a file the engine opens itself, or what the client sends. */
function sourceOf(path: string | undefined, call: Call<CallName>): ReadableStream<Uint8Array> {
  if (path === undefined) return streamOf(call.stdin);
  return Bun.file(path).stream();
}

const progressOf = (call: Call<CallName>) => (step: unknown) => void call.progress(step);

/** Runs `make` with an abort signal that follows the client. */
const imageOptions = (call: Call<CallName>) => ({ signal: call.signal, progress: progressOf(call) });

/** What concerns the engine's process. */
export interface ProcessCalls {
  shutdown(): void;
  reload(): Reloaded;
}

export function handlersOf(engine: Engine, { shutdown, reload }: ProcessCalls): Handlers {
  const arrived = (how: "import" | "load", images: Image[]) => {
    for (const image of images) engine.images.arrived(image, how);
  };
  return {
    ping: async () => ({ version: engine.status().version, pid: process.pid }),
    status: async () => engine.status(),
    settings: async () => engine.settings(),
    reload: async () => reload(),
    shutdown: async () => {
      setTimeout(shutdown, 0);
      return {};
    },

    create: async ({ request }) => {
      const { id, warnings } = await engine.create(request.container);
      return { id, warnings: [...warnings] };
    },
    run: async (call) => {
      const { container, detach, attach, size, sigProxy } = call.request;
      const trace = call.request.trace ? new Trace() : undefined;
      let id = "";
      const tell = (created: { readonly id: string; readonly warnings: readonly string[] }) => {
        id = created.id;
        void call.item({ id, warnings: [...created.warnings] });
      };
      const client = detach ? null : streamsOf(call, attach, sigProxy);
      const status = await engine.run(container, client, tell, size, trace);
      if (trace) void call.item({ trace: trace.list() });
      if (!status) return { id, exitCode: 0, detached: true };
      return { id, exitCode: status.exitCode, ...(status.error ? { error: status.error } : {}) };
    },
    start: async (call) => {
      const { container, attach, size, unnamed } = call.request;
      const { id } = engine.inspect(container);
      if (!attach) {
        if (!["running", "paused", "restarting"].includes(engine.inspect(container).state.status))
          await engine.start(container, size, unnamed);
        return { id };
      }
      const status = await engine.startAttached(container, streamsOf(call, attach, true), size);
      return status ? { id, exitCode: status.exitCode } : { id, detached: true };
    },
    takeOver: async ({ request: { container, from, publish } }) => {
      await engine.takeOver(container, from, publish);
      return {};
    },
    hold: async (call) => {
      await engine.holds.hold(call.request.name, () => void call.item({}), call.signal);
      return {};
    },
    stop: async ({ request }) => ({ id: await engine.stop(request.container, request.signal, request.timeout) }),
    restart: async ({ request }) => ({ id: await engine.restart(request.container, request.signal, request.timeout) }),
    rename: async ({ request }) => ({ id: await engine.rename(request.container, request.name) }),
    top: async ({ request }) => engine.top(request.container, request.args ?? []),
    kill: async ({ request }) => ({ id: await engine.kill(request.container, request.signal) }),
    pause: async ({ request }) => ({ id: await engine.pause(request.container) }),
    unpause: async ({ request }) => ({ id: await engine.unpause(request.container) }),
    wait: async ({ request }) => {
      const { exitCode, error } = await engine.wait(request.container, request.condition ?? "not-running");
      return { exitCode, ...(error ? { error } : {}) };
    },
    remove: async ({ request }) => ({ id: await engine.remove(request.container, !!request.force, !!request.volumes) }),
    removeLink: async ({ request }) => {
      await engine.removeLink(request.link);
      return {};
    },
    inspect: async ({ request }) => engine.inspect(request.container),
    list: async ({ request }) => ({ containers: engine.list(request) }),
    logs: async (call) => {
      const { stdout = true, stderr = true, timestamps, details, container, ...query } = call.request;
      const encoder = new TextEncoder();
      const said = details ? `${engine.logDetails(container)} ` : "";
      for await (const entry of engine.logs(container, query, call.signal)) {
        if (entry.stream === "stdout" ? !stdout : !stderr) continue;
        const bytes = encoder.encode(`${timestamps ? `${fixedWidth(entry.time)} ` : ""}${said}${entry.text}`);
        await (entry.stream === "stdout" ? call.stdout(bytes) : call.stderr(bytes));
      }
      return {};
    },
    logsClear: async ({ request }) => ({ id: engine.clearLog(request.container) }),
    attach: async (call) => {
      const { container, attach, size, sigProxy } = call.request;
      const status = await engine.attach(container, streamsOf(call, attach, sigProxy), size);
      return status ? { exitCode: status.exitCode } : { exitCode: 0, detached: true };
    },
    exec: async (call) => {
      const { container, exec, attach, size, sigProxy } = call.request;
      const started = (pid: number) => void call.item({ pid });
      const exitCode = await engine.exec(container, exec, streamsOf(call, attach, sigProxy), { size, started });
      return exitCode === undefined ? { exitCode: 0, detached: true } : { exitCode };
    },
    stats: async (call) => {
      const { containers, all, stream } = call.request;
      for (;;) {
        await call.item({ samples: engine.stats(containers, !!all) });
        if (!stream || call.signal.aborted) return {};
        await Bun.sleep(1000);
      }
    },
    update: ({ request }) => engine.update(request.container, request.resources, request.restart, request.changes),
    events: async (call) => {
      engine.checkEvents(call.request);
      for await (const event of engine.events(call.request, call.signal)) await call.item(event);
      return {};
    },
    lease: (call) =>
      engine.leases.hold(call.request, {
        signal: call.signal,
        onDetach: (listener) => call.onDetach(listener),
        told: (lease) => void call.item(lease),
      }),
    explain: async ({ request }) => engine.explain(request.container),
    info: async () => ({ info: await dockerInfo(engine) }),
    runtimes: async () => ({ runtimes: await engine.listRuntimes() }),

    diff: async ({ request }) => ({ changes: await engine.diff(request.container) }),
    export: async (call) => {
      await engine.export(call.request.container, async (chunk) => {
        call.signal.throwIfAborted();
        await call.stdout(chunk);
      });
      return {};
    },
    copyStat: async ({ request }) => engine.copies.stat(request),
    copyOut: async (call) => {
      await engine.copies.read(call.request, call.item, async (chunk) => {
        call.signal.throwIfAborted();
        await call.stdout(chunk);
      });
      return {};
    },
    copyIn: async ({ request: { copyUidGid, noOverwriteDirNonDir, ...target }, stdin, signal }) => {
      await engine.copies.write(target, stdin, { copyUidGid, noOverwriteDirNonDir, signal });
      return {};
    },
    commit: async ({ request: { container, ...options } }) => {
      const image = await engine.commit(container, options);
      return { id: image.id };
    },
    snapshot: async ({ request }) => engine.snapshots.take(request),
    snapshots: async () => ({ snapshots: engine.snapshots.list() }),
    snapshotRemove: async ({ request }) => ({ id: await engine.snapshots.remove(request.snapshot) }),
    fork: async ({ request }) => {
      const forks = await engine.snapshots.fork(request);
      return {
        containers: forks.map(({ id, name }) => ({ id, name })),
        warnings: [...new Set(forks.flatMap(({ warnings }) => warnings))],
      };
    },

    images: async ({ request }) => ({ images: engine.images.list(request.filters ?? {}) }),
    imageInspect: async ({ request }) => engine.images.store.get(request.image, request.platform),
    imageRemove: async ({ request }) => engine.images.remove(request.image, !!request.force, request.platform),
    imageTag: async ({ request }) => {
      engine.images.tag(request.image, request.name);
      return {};
    },
    import: async (call) => {
      const { name, message, platform, changes: lines } = call.request;
      const image = await engine.images.store.importRootfs(sourceOf(call.request.path, call), {
        ...imageOptions(call),
        ...(name === undefined ? {} : { name }),
        ...(message === undefined ? {} : { message }),
        ...(platform === undefined ? {} : { platform }),
        config: applyChanges(lines ?? []),
      });
      arrived("import", [image]);
      return image;
    },
    load: async (call) => {
      const { path, platform } = call.request;
      const options = { ...imageOptions(call), ...(platform === undefined ? {} : { platform }) };
      const images = await engine.images.store.load(sourceOf(path, call), options);
      arrived("load", images);
      return { images };
    },
    pull: async (call) => ({ images: await engine.images.pull(call.request, imageOptions(call)) }),
    mirrors: async ({ request }) => ({ hosts: engine.images.mirrors(request.image) }),
    push: async (call) => ({ images: await engine.images.push(call.request, imageOptions(call)) }),
    imageSearch: async ({ request, signal }) => ({ repositories: await engine.images.search(request, signal) }),
    login: async ({ request, signal }) => engine.images.login(request, signal),
    manifestCreate: async ({ request, signal }) => ({ name: await engine.manifests.create(request, signal) }),
    manifestAnnotate: async ({ request }) => {
      engine.manifests.annotate(request);
      return {};
    },
    manifestInspect: async ({ request, signal }) => engine.manifests.inspect(request, signal),
    manifestPush: async (call) => engine.manifests.push(call.request, imageOptions(call)),
    manifestRemove: async ({ request }) => {
      engine.images.store.lists.remove(request.list);
      return {};
    },
    manifestLists: async () => ({ lists: engine.images.store.lists.all() }),
    imageSign: async ({ request, signal }) => engine.trust.sign(request, signal),
    imageVerify: async ({ request, signal }) => engine.trust.verify(request, signal),
    imageReferrers: async ({ request, signal }) => engine.artifacts.referrers(request, signal),
    imageAttach: async ({ request, signal }) => engine.artifacts.attach(request, signal),
    imageDetach: async ({ request, signal }) => engine.artifacts.detach(request, signal),
    imageFetch: async (call) => {
      const write = async (chunk: Uint8Array): Promise<void> => void (await call.stdout(chunk));
      return { files: await engine.artifacts.fetch(call.request, { signal: call.signal, write }) };
    },
    save: async (call) => {
      const { images, format, path, platform } = call.request;
      const target = path === undefined ? { write: call.stdout } : { path };
      const asked = platform === undefined ? {} : { platform };
      await engine.images.save(images, { format, signal: call.signal, ...target, ...asked });
      return {};
    },
    imageMount: async ({ request }) => engine.images.mount(request),
    imageMounts: async () => ({ mounts: engine.images.mounts() }),
    imageUnmount: async ({ request }) => ({ mounts: engine.images.unmount(request.mount, !!request.force) }),
    imageHistory: async ({ request }) => ({ entries: engine.images.history(request.image, request.platform) }),
    imageTree: async ({ request }) => ({ images: engine.images.trees(request.image) }),
    imagePrune: async ({ request }) => engine.images.prune(!!request.all, request.filters ?? {}),
    collectImages: async ({ request }) => engine.images.collect(request),
    containerPrune: async ({ request }) => engine.pruneContainers(request.filters ?? {}),
    networkCreate: async ({ request }) => engine.networks.create(request),
    networkInspect: async ({ request }) => engine.networks.inspect(request.network),
    networkList: async ({ request }) => ({ networks: engine.networks.list(request.filters) }),
    networkCheck: async ({ request }) => ({ problems: await engine.networks.check(request.network) }),
    networkRemove: async ({ request }) => engine.networks.remove(request.network),
    networkPrune: async ({ request }) => engine.networks.prune(request.filters),
    networkExplain: async ({ request }) => ({ text: await engine.networks.explain(request.network) }),
    nodeJoin: async ({ request }) => engine.nodes.join(request),
    nodeLeave: async () => engine.nodes.leave(),
    nodeList: async () => ({ nodes: engine.nodes.list() }),
    nodeRemove: async ({ request }) => engine.nodes.remove(request.node),
    nodeStatus: async () => ({ status: engine.nodes.status() }),
    networkConnect: async ({ request }) => {
      await engine.networks.connect(request.container, request.endpoint);
      return {};
    },
    networkDisconnect: async ({ request }) => {
      await engine.networks.disconnect(request.network, request.container, !!request.force);
      return {};
    },
    guestAttach: async ({ request }) => engine.guests.attach(request),
    guestDetach: async ({ request }) => {
      await engine.guests.detach(request);
      return {};
    },
    guestCheck: async ({ request }) => engine.guests.check(request),
    guestStatus: async ({ request }) => {
      engine.guests.status(request.network);
      return {};
    },
    guestCollect: async ({ request }) => ({ count: await engine.guests.collect(request) }),
    volumeCreate: async ({ request }) => engine.volumes.create(request),
    volumes: async ({ request }) => ({ volumes: engine.volumes.list(request.filters ?? {}) }),
    volumeInspect: async ({ request }) => engine.volumes.inspect(request.volume),
    volumeRemove: async ({ request }) => ({ name: await engine.volumes.remove(request.volume, !!request.force) }),
    volumePrune: async ({ request }) => engine.volumes.prune(!!request.all, request.filters ?? {}),
    volumeExport: async (call) => {
      await engine.volumes.export(call.request.volume, async (chunk) => {
        call.signal.throwIfAborted();
        await call.stdout(chunk);
      });
      return {};
    },
    volumeImport: async (call) => {
      const { volume, path, merge } = call.request;
      const chunks = path === undefined ? call.stdin : Bun.file(path).stream();
      return engine.volumes.import({ name: volume, ...(merge ? { merge } : {}) }, chunks, call.signal);
    },
    volumeClone: async ({ request: { source, ...request } }) => engine.volumes.clone(source, request),
    diskUsage: async () => engine.diskUsage(),
    systemCheck: async (call) =>
      engine.images.check({
        repair: !!call.request.repair,
        quick: !!call.request.quick,
        signal: call.signal,
        progress: progressOf(call),
      }),
    bootstrap: async (call) => {
      const { distribution, name } = call.request;
      const image = await engine.images.bootstrap(distribution, {
        ...imageOptions(call),
        ...(name === undefined ? {} : { name }),
      });
      arrived("import", [image]);
      return image;
    },
  };
}
