import { spawn } from "node:child_process";
import { OnggiError } from "../lib/errors.ts";
import { checkBinary, findBinary } from "./binary.ts";

export interface EnginePlace {
  /** The data root; absent: ONGGI_ROOT, or the executable's default. */
  readonly root?: string | undefined;
  readonly run: string;
  readonly binary?: string | undefined;
}

/**
 * Starts the engine in the background, of its own session, as the command line does, and waits until it answers; any number of callers at
 * once end with one engine. Throws `binary_missing`, `binary_damaged`, `engine_start_failed`.
 */
export async function startEngine({ root, run, binary }: EnginePlace): Promise<void> {
  const found = findBinary(binary);
  await checkBinary(found);
  const args = [...(root === undefined ? [] : ["--root", root]), "--run", run, "engine", "start"];
  const child = spawn(found.path, args, { stdio: ["ignore", "ignore", "pipe"] });
  const chunks: Uint8Array[] = [];
  child.stderr.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", (error) =>
      reject(new OnggiError("engine_start_failed", `${found.path} cannot be run: ${error.message}`)),
    );
    child.once("close", resolve);
  });
  if (code === 0) return;
  const said = Buffer.concat(chunks).toString("utf8").trim();
  throw new OnggiError("engine_start_failed", `"${found.path} engine start" ended with ${code}${said ? `: ${said}` : ""}`);
}
