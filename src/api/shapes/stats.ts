import type { StatsSample } from "../control/types.ts";

/** One interface under the names of Docker's API (v1.41, ContainerStats). */
export const dockerCounters = (counters: StatsSample["network"][string]): object => ({
  rx_bytes: counters.rxBytes,
  rx_packets: counters.rxPackets,
  rx_errors: counters.rxErrors,
  rx_dropped: counters.rxDropped,
  tx_bytes: counters.txBytes,
  tx_packets: counters.txPackets,
  tx_errors: counters.txErrors,
  tx_dropped: counters.txDropped,
});
