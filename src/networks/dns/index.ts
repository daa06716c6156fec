/**
 * Names in the engine's networks. A container's resolv.conf names 127.0.0.11, where the **resolver** answers: a process of its own,
 * one for each run directory, which goes on when the engine ends. It knows containers' names, aliases, short ids and links, their
 * addresses' names, and the host as host.docker.internal and host.onggi.internal; all else it asks of the container's own name
 * servers or the host's, unless all the container's networks are internal.
 *
 *     const dns = new DnsService({ run, command: ["/usr/bin/onggi"], log });
 *     dns.setNetwork({ id, name: "web", internal: false, gateway4: "10.1.0.1", gateway6: null });
 *     dns.join(id, { container, names: ["db"], ipv4: "10.1.0.2", ipv6: null });
 *     await dns.serve({ id: container, netns, upstreams: [], extraHosts: [] });
 *     await dns.settled();   // once, when everything that was there before has been said
 */
export { DnsService, type DnsServiceOptions } from "./service.ts";
export { ADDRESS, removeRules } from "./sockets.ts";
export type { DnsContainer, DnsEndpoint, DnsNetwork } from "./types.ts";
