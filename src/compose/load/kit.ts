import { type LoadOptions, loadProject } from "./index.ts";
import { memoryFiles } from "./memory-files.ts";

/** For tests: projects of files in memory. Names without a slash before them are below /app; one text is /app/compose.yaml. */
export const load = (files: Record<string, string> | string, options: Partial<LoadOptions> = {}) => {
  const named = typeof files === "string" ? { "compose.yaml": files } : files;
  const paths = Object.entries(named).map(([name, text]) => [name.startsWith("/") || name === "-" ? name : `/app/${name}`, text]);
  return loadProject({
    cwd: "/app",
    environment: { HOME: "/home/me" },
    source: memoryFiles(Object.fromEntries(paths)),
    ...options,
  });
};

/** What is wrong, as the user reads it. */
export async function refusal(files: Record<string, string> | string, options: Partial<LoadOptions> = {}): Promise<string> {
  try {
    await load(files, options);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("it was loaded");
}
