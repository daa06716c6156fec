// The layers: cli, api -> engine -> {build, images, runtime, networks, volumes} -> plan, sys, native. See ARCHITECTURE.md.
const layers = {
  cli: ["cli", "compose", "api", "standalone", "archive", "oci", "lib"],
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
  // of api the control protocol's client, as far as it runs without Bun
  sdk: ["sdk", "api", "lib"],
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
