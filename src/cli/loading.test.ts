import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

/** What a module imports when it is loaded: neither types nor what it imports later. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/^(?:import|export)\s(?!type\s)[^;]*?from\s"([^"]+)";/gm)].map(([, name]) => name!);
}

/** Node's modules that loading a file loads, each with who imports it. */
function nodeModules(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file) || !file.endsWith(".ts")) return [];
  seen.add(file);
  return importsOf(file).flatMap((name) => {
    if (name.startsWith(".")) return nodeModules(resolve(dirname(file), name), seen);
    return name.startsWith("node:") ? [`${name} by ${file.slice(file.indexOf("/src/") + 1)}`] : [];
  });
}

// node:fs takes 1.5 ms, a fifth of a short command
test.each(["run", "exec", "ps", "logs", "inspect", "start", "stop", "rm", "images", "version"])(
  "%s loads none of Node's modules to begin with",
  (command) => {
    const files = ["../main.ts", "cli.ts", "host.ts", `${command}.ts`];
    expect(files.flatMap((file) => nodeModules(join(import.meta.dirname, file)))).toEqual([]);
  },
);
