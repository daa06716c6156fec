/** Removal of links, which takes the kernel long. */
import { CLONE, deleteLink, inNamespace, isErrno, NETLINK, tryBatchAside } from "../sys/index.ts";

/** Removes links on a thread of the pool, for it takes the kernel tens of milliseconds. Those that are gone already are no error. */
export async function removeAside(names: readonly string[], netns?: number): Promise<void> {
  if (names.length === 0) return;
  const remove = () =>
    tryBatchAside(
      NETLINK.NETLINK_ROUTE,
      names.map((name) => deleteLink({ name })),
    );
  const results = await (netns === undefined ? remove() : inNamespace(netns, CLONE.CLONE_NEWNET, remove));
  const failure = results.find((result) => result !== undefined && !isErrno(result, "ENODEV"));
  if (failure !== undefined) throw failure;
}
