/**
 * The runtime: from what a container is to be, to the plan that makes it.
 *
 * Terms. A **request** says what a client wants, in Docker's words; a **specification** says it in the OCI runtime's, with
 * every default filled in; a **plan** (src/plan) says it in system calls. The **host section** of a plan is what needs the
 * host's privileges and runs in the shim. **Facts** are what this kernel can do, probed once by the engine.
 *
 * Life of a container's start: `specFromRequest` -> `compileCreate` -> the shim carries the plan out -> `compileExec` for each
 * further process. Pure but for what looks at the host (`probeHost`, `bindSources`, `tmpfsModes`, `readRootFile`): the same
 * input gives the same plan.
 *
 * Guarantees. A plan leaves nothing of the host in the container's sight: paths of the image are resolved inside its root, by
 * descriptor, once. What a plan cannot do is refused with an OnggiError before anything is made.
 *
 *     const spec = specFromRequest({ request, image, id, hostname, args, user, facts, cgroupPath, idMap: null });
 *     const plan = compileCreate({ spec, root, facts, cgroup, supervision, id, fileSources: bindSourceFiles(spec) });
 *     console.log(explain(plan)); // or encode(plan), for a shim
 */
export * from "./bind-sources.ts";
export * from "./binfmt.ts";
export * from "./block-io.ts";
export * from "./capabilities.ts";
export * from "./cdi-edits.ts";
export * from "./compile.ts";
export * from "./compile-foreign.ts";
export * from "./facts.ts";
export * from "./hooks.ts";
export * from "./host-support.ts";
export * from "./intel-rdt.ts";
export * from "./namespaces.ts";
export * from "./net-devices.ts";
export * from "./request.ts";
export * from "./resources.ts";
export * from "./rootfile.ts";
export * from "./types.ts";
export * from "./users.ts";
