/**
 * Published ports by ::1. What the host sends to ::1 is translated as what it sends to 127.0.0.1 is, but IPv6 has no switch like
 * route_localnet: an answer, translated back to ::1, finds no way, since ::1 is looked for among the routes of the interface it came
 * in by. So bridges get such a route, behind that of lo. From the wire nobody gets in by it: the kernel drops what arrives with ::1 as
 * source or destination before any hook, RFC 4291 section 2.5.3.
 *
 * Where frames on bridges pass the hooks of IP (br_netfilter), answers are translated back before that check, which then drops them.
 * There ::1 has to be left alone.
 */
import { readFileSync } from "node:fs";
import { CLONE, close, inNamespace, isErrno, networkNamespaceOf, RT, Rtnetlink } from "../../sys/index.ts";

const SWITCH = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
/** Behind the route of lo, which has 0. */
const METRIC = 2048;

export class Loopback implements Disposable {
  readonly #net = new Rtnetlink();
  /** Indices of bridges that have the route. */
  readonly #served = new Set<number>();

  /** Sees to it that ::1 can lead to containers on these bridges. False where it cannot. */
  serve(bridges: Iterable<string>): boolean {
    if (this.#bridgeNetfilter()) return false;
    for (const bridge of new Set(bridges)) {
      const index = this.#net.linkByName(bridge)?.index;
      // A bridge that is not there has no containers either.
      if (index === undefined || this.#served.has(index)) continue;
      try {
        this.#net.addRoute({ to: "::1/128", index, table: RT.RT_TABLE_LOCAL, type: RT.RTN_LOCAL, metric: METRIC });
      } catch (error) {
        if (!isErrno(error, "EEXIST")) return false;
      }
      this.#served.add(index);
    }
    return true;
  }

  #bridgeNetfilter(): boolean {
    const namespace = networkNamespaceOf(this.#net.fd);
    try {
      return inNamespace(namespace, CLONE.CLONE_NEWNET, () => readFileSync(SWITCH, "latin1")).trim() !== "0";
    } catch (error) {
      if (isErrno(error, "ENOENT")) return false;
      throw error;
    } finally {
      close(namespace);
    }
  }

  close(): void {
    this.#net.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
