import type { OneShot } from "../native/oneshot.ts";
import type { Host } from "./host.ts";
import { setUp } from "./setup.ts";
import type { CreateOptions } from "./types.ts";

/** Makes a container whose process waits for `start`, and leaves it to the caller. */
export async function createContainer(host: Host, front: OneShot, options: CreateOptions): Promise<void> {
  const container = await setUp(host, front, options, { detached: true, byFifo: true });
  try {
    front.leave();
  } catch (error) {
    await container.undo();
    throw error;
  } finally {
    container.directory.close();
  }
}
