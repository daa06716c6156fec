export * from "./bind-sources.ts";
export * from "./capabilities.ts";
export * from "./compile.ts";
export * from "./request.ts";
export * from "./resources.ts";
export * from "./types.ts";
export * from "./users.ts";
