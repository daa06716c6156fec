/**
 * etcd: what the hosts of overlay networks know of each other. A client of its v3 API, through the JSON gateway that every member has
 * (etcd 3.4 or newer), on Bun's fetch.
 *
 * Terms: a **revision** numbers the store's changes; an entry has that of its last change and of its creation. A **lease** ends when it
 * is not kept alive, and the entries put with it end too. A **compaction** forgets what was before a revision.
 *
 *     const { prefix, ...where } = parseEtcdUrl("etcd://10.0.0.1,10.0.0.2/onggi/v1");
 *     const etcd = new Etcd(where);
 *     const { entries, revision } = await etcd.list(`${prefix}/`);
 *     for await (const { events } of etcd.watch(`${prefix}/`, revision + 1, { signal })) ...
 *
 * Guarantees: a request ends within its time-out, whatever the servers do; a transaction is sent to one server, once; nothing that a
 * server answers is believed unseen, nothing longer than 64 MiB is kept. Proxies of the environment are not used.
 */
export { Etcd } from "./client.ts";
export type { MemberStatus } from "./decode.ts";
export { EtcdError, type EtcdErrorCode } from "./errors.ts";
export * from "./types.ts";
export { DEFAULT_PREFIX, type EtcdUrl, parseEtcdUrl } from "./url.ts";
