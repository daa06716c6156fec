/**
 * A container's name server, as its namespace has it: two sockets at 127.0.0.11, and rules that bring port 53 of that address to
 * them. The ports themselves are any two, so a container may serve DNS at its own port 53. The rules rewrite packets and track no
 * connections: a flood of questions fills no table of the kernel's.
 *
 *     table inet onggi-dns {
 *       chain question {
 *         type filter hook output priority raw;
 *         ip daddr 127.0.0.11 udp dport 53 udp dport set PORT
 *         ip daddr 127.0.0.11 tcp dport 53 tcp dport set PORT
 *       }
 *       chain answer {
 *         type filter hook output priority dstnat;
 *         ip saddr 127.0.0.11 udp sport PORT udp sport set 53
 *         ip saddr 127.0.0.11 tcp sport PORT tcp sport set 53
 *       }
 *     }
 *
 * One is before connection tracking and the other after it, so a container that tracks connections itself sees one for each question.
 */
import {
  bindSocket,
  CLONE,
  close,
  commitAside,
  deleteTable,
  fstat,
  inNamespace,
  localPort,
  type NetlinkRequest,
  NF,
  NFT,
  Nfnetlink,
  newChain,
  newRule,
  newTable,
  SOCK,
  socketAddress,
} from "../../sys/index.ts";
import { compare, family, header, meta, setHeader } from "../../sys/nft-expressions.ts";

/** The name server in a container's resolv.conf. */
export const ADDRESS = "127.0.0.11";

const TABLE = "onggi-dns";
const address = Uint8Array.of(127, 0, 0, 11);
const port = (value: number): Uint8Array => Uint8Array.of(value >> 8, value);
const DNS = port(53);

/** Protocol number, and where its checksum is. Source port first, then destination port, in both. */
const transports = { udp: [17, 6], tcp: [6, 16] } as const;

const SOURCE = { address: 12, port: 0 };
const DESTINATION = { address: 16, port: 2 };

function rewrite(chain: string, transport: keyof typeof transports, end: typeof SOURCE, from: Uint8Array, to: Uint8Array) {
  const [protocol, checksum] = transports[transport];
  return newRule(TABLE, chain, [
    ...family(4),
    header(NFT.NFT_PAYLOAD_NETWORK_HEADER, end.address, 4),
    compare(address),
    meta(NFT.NFT_META_L4PROTO),
    compare(Uint8Array.of(protocol)),
    header(NFT.NFT_PAYLOAD_TRANSPORT_HEADER, end.port, 2),
    compare(from),
    ...setHeader(NFT.NFT_PAYLOAD_TRANSPORT_HEADER, end.port, to, checksum),
  ]);
}

function rules(udp: Uint8Array, tcp: Uint8Array): NetlinkRequest[] {
  const hook = NF.NF_INET_LOCAL_OUT;
  return [
    newTable(TABLE),
    newChain(TABLE, "question", { type: "filter", hook, priority: NF.NF_IP_PRI_RAW }),
    newChain(TABLE, "answer", { type: "filter", hook, priority: NF.NF_IP_PRI_NAT_DST }),
    rewrite("question", "udp", DESTINATION, DNS, udp),
    rewrite("question", "tcp", DESTINATION, DNS, tcp),
    rewrite("answer", "udp", SOURCE, udp, DNS),
    rewrite("answer", "tcp", SOURCE, tcp, DNS),
  ];
}

/** In the namespace that the thread is in. A table that is there already gives way. */
function setRules(udp: Uint8Array, tcp: Uint8Array): void {
  const net = new Nfnetlink();
  try {
    // Deleting costs the kernel a grace period, so it is looked first.
    const former = net.tableHandle(TABLE) === undefined ? [] : [deleteTable(TABLE)];
    net.commit([...former, ...rules(udp, tcp)]);
  } finally {
    net.close();
  }
}

export interface Sockets {
  readonly udp: number;
  readonly tcp: number;
}

/**
 * Makes the sockets and the rules in a namespace whose loopback device is up. The caller closes the sockets, which keep the namespace
 * alive until then.
 * @throws SysError, NetlinkError; then nothing is left open
 */
export function openSockets(netns: number): Sockets {
  return inNamespace(netns, CLONE.CLONE_NEWNET, () => {
    const any = socketAddress(address, 0);
    const udp = bindSocket(any, SOCK.SOCK_DGRAM);
    try {
      const tcp = bindSocket(any, SOCK.SOCK_STREAM);
      try {
        setRules(port(localPort(udp)), port(localPort(tcp)));
        return { udp, tcp };
      } catch (error) {
        close(tcp);
        throw error;
      }
    } catch (error) {
      close(udp);
      throw error;
    }
  });
}

/** Takes the rules out of a namespace that goes on without a name server; aside, for it takes the kernel long. Idempotent. */
export async function removeRules(netns: number): Promise<void> {
  const net = Nfnetlink.inNamespace(netns);
  try {
    if (net.tableHandle(TABLE) === undefined) return;
  } finally {
    net.close();
  }
  await inNamespace(netns, CLONE.CLONE_NEWNET, () => commitAside([deleteTable(TABLE)]));
}

/** What tells one namespace from all others as long as it is there. */
export const namespaceId = (netns: number): string => String(fstat(netns).ino);
