import type { Spec } from "../../oci/spec.ts";
import { O } from "../../sys/constants.ts";
import { close, open } from "../../sys/file.ts";
import { Rtnetlink } from "../../sys/rtnetlink.ts";

/** For a process whose new network namespace no plan has set up. */
export function setLoopbackUp({ linux }: Spec, pid: number): void {
  if (!linux?.namespaces?.some(({ type, path }) => type === "network" && path === undefined)) return;
  const netns = open(`/proc/${pid}/ns/net`, O.O_RDONLY | O.O_CLOEXEC);
  try {
    const inside = Rtnetlink.inNamespace(netns);
    try {
      inside.linkUp("lo");
    } finally {
      inside.close();
    }
  } finally {
    close(netns);
  }
}
