/** Whether the table is still what it should be, and the news of somebody changing it. */
import {
  decodeAttributes,
  decodeGeneration,
  isErrno,
  listElements,
  listRules,
  NETFILTER_HEADER,
  NETLINK,
  type NetlinkMessage,
  NFNL,
  NFT_MSG,
  type Nfnetlink,
  netlinkEvents,
  type SetElement,
} from "../../sys/index.ts";
import type { Element } from "./elements.ts";
import { ruleCount, sets } from "./ruleset.ts";

const elementKey = ({ key, value, end }: SetElement): string =>
  `${Buffer.from(key).toString("hex")} ${value === undefined ? "" : Buffer.from(value).toString("hex")} ${end ?? false}`;

/** True if the kernel has the table with these rules (of `listRules`), maybe others beside them, and with exactly these elements. */
export function tableHas(net: Nfnetlink, table: string, rules: readonly string[], elements: readonly Element[]): boolean {
  try {
    const present = new Set(listRules(net, table));
    if (rules.length !== ruleCount() || !rules.every((rule) => present.has(rule))) return false;
    const wanted = Map.groupBy(elements, ({ set }) => set);
    return sets.every(({ name }) => {
      const expected = new Set((wanted.get(name) ?? []).map(elementKey));
      const found = new Set(listElements(net, table, name).map(elementKey));
      return found.size === expected.size && [...expected].every((key) => found.has(key));
    });
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

/** What takes something out of a table. In all of them attribute 1 is the table's name. */
const losses: ReadonlySet<number> = new Set(
  [
    NFT_MSG.NFT_MSG_DELTABLE,
    NFT_MSG.NFT_MSG_DELCHAIN,
    NFT_MSG.NFT_MSG_DELRULE,
    NFT_MSG.NFT_MSG_DELSET,
    NFT_MSG.NFT_MSG_DELSETELEM,
  ].map((message) => (NFNL.NFNL_SUBSYS_NFTABLES << 8) | message),
);
const generation = (NFNL.NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG.NFT_MSG_NEWGEN;

/** Milliseconds until the news are listened to again after some were lost. */
const RETRY = 100;

/** True for a message that tells of something taken out of this table. Never throws. */
export function isLoss({ type, payload }: NetlinkMessage, table: string): boolean {
  if (!losses.has(type)) return false;
  const name = decodeAttributes(payload, NETFILTER_HEADER).get(1);
  return name !== undefined && Buffer.from(name).toString() === `${table}\0`;
}

/**
 * Calls `onLoss` after every transaction that takes something out of the table and is not made by `net`, and when
 * news may have been lost. `by` says who did it, "nft (process 1234)".
 * @returns a function that ends it
 */
export function watchTable(net: Nfnetlink, table: string, onLoss: (by: string) => void): () => void {
  let stop = (): void => {};
  let retry: Timer | undefined;
  const listen = (): void => {
    let lost = false;
    stop = netlinkEvents(NETLINK.NETLINK_NETFILTER, NFNL.NFNLGRP_NFTABLES, {
      beside: net,
      onMessage(message) {
        if (isLoss(message, table)) lost = true;
        // the last message of every transaction
        if (message.type !== generation || !lost) return;
        lost = false;
        const { process, pid } = decodeGeneration(message.payload);
        onLoss(`${process} (process ${pid})`);
      },
      onEnd() {
        retry = setTimeout(() => {
          listen();
          onLoss("somebody");
        }, RETRY);
        retry.unref();
      },
    });
  };
  listen();
  return () => {
    clearTimeout(retry);
    stop();
  };
}
