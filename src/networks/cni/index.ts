/**
 * Networks by plugins of others: onggi as a runtime of the CNI specification (https://www.cni.dev/docs/spec/), 0.1.0 to 1.1.0.
 *
 * Terms, the specification's: a **network configuration** is a file of /etc/cni/net.d that lists **plugins**, programs that are run one
 * after the other; an **attachment** is a container's interface in such a network, made by ADD and taken back by DEL; a **result** is
 * what ADD says of it; **capability arguments** are what a plugin asked to be told at run time.
 *
 *     const cni = new CniNetworks({ directory, run, log, nameOf });
 *     await cni.recover(running);
 *     const { endpoints, nameservers } = await cni.attach({ container, netns, endpoints: [{ network: "cni:web" }], publish, dns });
 *     ...
 *     await cni.detach(container);
 *
 * Lifecycle: configurations are read whenever they are needed; an attachment keeps the one it was made with until it is deleted.
 * Guarantees: an ADD that has begun is followed by DEL, whatever is killed when: the attachment is on the disk before the first plugin
 * is run and leaves it after the last. For one container nothing runs twice at once, and GC runs alone. Plugins are programs of the
 * administrator's and as trusted as the engine; what they print is checked and bounded, and one that hangs is ended.
 */
export { CniNetworks } from "./networks.ts";
export * from "./types.ts";
