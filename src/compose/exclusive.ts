import type { Host } from "./host.ts";

/** Milliseconds until somebody who waits is told what for. */
const PATIENCE = 1000;

/** Work on a project that no other compose does at the same time; another one's is waited for. */
export async function exclusively<T>(host: Host, project: string, work: () => Promise<T>): Promise<T> {
  const over = new AbortController();
  const held = Promise.withResolvers<void>();
  const tell = setTimeout(() => host.warn(`another compose is at work on project ${project}: waiting for it`), PATIENCE);
  const holding = host
    .call("hold", { name: `compose ${project}` }, { item: () => held.resolve() }, AbortSignal.any([over.signal, host.signal]))
    .catch((error: unknown) => held.reject(error));
  try {
    await held.promise;
    clearTimeout(tell);
    return await work();
  } finally {
    clearTimeout(tell);
    over.abort();
    await holding;
  }
}
