// The layers: cli, api -> engine -> {build, images, runtime, networks, volumes} -> plan, sys, native. See ARCHITECTURE.md.
const layers = {
  cli: ["cli", "compose", "contexts", "credentials", "api", "standalone", "archive", "oci", "lib"],
  // which engine users mean
  contexts: ["contexts", "api", "lib"],
  // where users keep who they are to registries
  credentials: ["credentials", "api", "oci", "lib"],
  compose: ["compose", "api", "archive", "oci", "lib"],
  api: ["api", "engine", "oci", "lib"],
  engine: ["engine", "build", "archive", "images", "runtime", "networks", "volumes", "native", "plan", "sys", "oci", "lib"],
  standalone: ["standalone", "runtime", "native", "plan", "sys", "oci", "lib"],
  build: ["build", "archive", "plan", "sys", "native", "oci", "lib"],
  images: ["images", "archive", "plan", "sys", "native", "oci", "lib"],
  runtime: ["runtime", "plan", "sys", "native", "oci", "lib"],
  networks: ["networks", "plan", "sys", "native", "oci", "lib"],
  volumes: ["volumes", "archive", "plan", "sys", "native", "oci", "lib"],
  archive: ["archive", "sys", "lib"],
  native: ["native", "plan", "sys", "lib"],
  // of sys only the pure tables
  plan: ["plan", "sys", "lib"],
  sys: ["sys", "lib"],
  oci: ["oci", "lib"],
  // further narrowed below
  sdk: ["sdk", "api", "archive", "contexts", "credentials", "oci", "lib"],
  lib: ["lib"],
};

const pure = "^src/(plan|oci)/|^src/[a-z]+/compile[^/]*\\.ts$";
const tests = "\\.test\\.ts$";

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "unlisted-folder",
      severity: "error",
      comment: "a folder below src that the layers do not name",
      from: { path: `^src/(?!(?:${Object.keys(layers).join("|")})/|main\\.ts$)` },
      to: {},
    },
    {
      name: "only-sys-uses-ffi",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/sys/" },
      to: { path: "^bun:ffi$" },
    },
    {
      name: "pure-does-no-io",
      severity: "error",
      from: { path: pure, pathNot: tests },
      to: { path: "^(node:|bun:|bun$)|^src/sys/(?!constants\\.ts|errno\\.ts)" },
    },
    {
      name: "sdk-runs-without-bun",
      severity: "error",
      comment: "the SDK is for Node and Deno too: of the other layers it has what needs neither Bun nor system calls, and types",
      from: { path: "^src/(sdk|contexts|credentials)/", pathNot: tests },
      to: {
        path: "^(bun:|bun$)|^src/(?!sdk/)",
        pathNot: [
          "^src/(contexts|credentials)/",
          "^src/oci/reference\\.ts$",
          "^src/api/control/(connection|endpoint|frames|protocol|ssh|types|outbox)\\.ts$",
          "^src/archive/(bytes|errors|tar|tar-[a-z]+)\\.ts$",
          "^src/lib/(errors|outbox|socket-path|streams|time|units)\\.ts$",
        ],
      },
    },
    {
      name: "sdk-has-no-dependency",
      severity: "error",
      from: { path: "^src/sdk/", pathNot: tests },
      to: { dependencyTypes: ["npm", "npm-dev", "npm-optional", "npm-peer", "npm-no-pkg", "npm-unknown"] },
    },
    ...Object.entries(layers).map(([layer, allowed]) => ({
      name: `${layer}-imports`,
      severity: "error",
      from: { path: `^src/${layer}/`, pathNot: tests },
      to: { path: "^src/", pathNot: `^src/(${allowed.join("|")})/` },
    })),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    parser: "swc",
    tsConfig: { fileName: "tsconfig.json" },
    builtInModules: { add: ["bun", "bun:ffi", "bun:sqlite", "bun:test"] },
    enhancedResolveOptions: { extensions: [".ts"] },
  },
};
