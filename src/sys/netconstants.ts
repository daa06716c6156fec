/** The numbers of netlink and rtnetlink under the kernel's names, as in constants.ts. */

/** Protocols and socket options of netlink(7). */
// biome-ignore format: a table
export const NETLINK = {
  NETLINK_ROUTE: 0, NETLINK_NETFILTER: 12, NETLINK_GENERIC: 16, SOL_NETLINK: 270, NETLINK_CAP_ACK: 10, NETLINK_EXT_ACK: 11,
  NETLINK_GET_STRICT_CHK: 12,
} as const;

/** Message types of netlink itself. */
// biome-ignore format: a table
export const NLMSG = {
  NLMSG_NOOP: 1, NLMSG_ERROR: 2, NLMSG_DONE: 3, NLMSG_OVERRUN: 4,
} as const;

/** Message flags. */
// biome-ignore format: a table
export const NLM_F = {
  NLM_F_REQUEST: 1, NLM_F_MULTI: 2, NLM_F_ACK: 4, NLM_F_DUMP_INTR: 0x10, NLM_F_DUMP: 0x300, NLM_F_REPLACE: 0x100,
  NLM_F_EXCL: 0x200, NLM_F_CREATE: 0x400, NLM_F_APPEND: 0x800, NLM_F_CAPPED: 0x100, NLM_F_ACK_TLVS: 0x200,
} as const;

/** Attributes of an error message. */
// biome-ignore format: a table
export const NLMSGERR = {
  NLMSGERR_ATTR_MSG: 1, NLMSGERR_ATTR_OFFS: 2,
} as const;

/** Bits of an attribute's type. */
// biome-ignore format: a table
export const NLA = {
  NLA_F_NESTED: 0x8000, NLA_F_NET_BYTEORDER: 0x4000,
} as const;

/** Message types of rtnetlink(7). */
// biome-ignore format: a table
export const RTM = {
  RTM_NEWLINK: 16, RTM_DELLINK: 17, RTM_GETLINK: 18, RTM_SETLINK: 19, RTM_NEWADDR: 20, RTM_DELADDR: 21, RTM_GETADDR: 22,
  RTM_NEWROUTE: 24, RTM_DELROUTE: 25, RTM_GETROUTE: 26, RTM_NEWNEIGH: 28, RTM_DELNEIGH: 29, RTM_GETNEIGH: 30, RTM_NEWQDISC: 36,
  RTM_DELQDISC: 37, RTM_GETQDISC: 38, RTM_NEWTFILTER: 44,
} as const;

/** Link flags, netdevice(7). */
// biome-ignore format: a table
export const IFF = {
  IFF_UP: 1, IFF_BROADCAST: 2, IFF_LOOPBACK: 8, IFF_RUNNING: 0x40, IFF_NOARP: 0x80, IFF_PROMISC: 0x100, IFF_MULTICAST: 0x1000,
  IFF_LOWER_UP: 0x10000,
} as const;

/** Link attributes. */
// biome-ignore format: a table
export const IFLA = {
  IFLA_ADDRESS: 1, IFLA_BROADCAST: 2, IFLA_IFNAME: 3, IFLA_MTU: 4, IFLA_LINK: 5, IFLA_MASTER: 10, IFLA_PROTINFO: 12,
  IFLA_TXQLEN: 13, IFLA_OPERSTATE: 16, IFLA_LINKINFO: 18, IFLA_NET_NS_PID: 19, IFLA_IFALIAS: 20, IFLA_STATS64: 23, IFLA_NET_NS_FD: 28,
  IFLA_EXT_MASK: 29, IFLA_LINK_NETNSID: 37, IFLA_GSO_MAX_SIZE: 41,
} as const;

/** Attributes within IFLA_LINKINFO. */
// biome-ignore format: a table
export const IFLA_INFO = {
  IFLA_INFO_KIND: 1, IFLA_INFO_DATA: 2, IFLA_INFO_SLAVE_KIND: 4, IFLA_INFO_SLAVE_DATA: 5,
} as const;

/** Attributes of a veth link's data. */
// biome-ignore format: a table
export const VETH = {
  VETH_INFO_PEER: 1,
} as const;

/** Attributes of a bridge's data. */
// biome-ignore format: a table
export const IFLA_BR = {
  IFLA_BR_FORWARD_DELAY: 1, IFLA_BR_HELLO_TIME: 2, IFLA_BR_AGEING_TIME: 4, IFLA_BR_STP_STATE: 5, IFLA_BR_VLAN_FILTERING: 7,
  IFLA_BR_MCAST_SNOOPING: 23,
} as const;

/** Attributes of a bridge's port. */
// biome-ignore format: a table
export const IFLA_BRPORT = {
  IFLA_BRPORT_MODE: 4, IFLA_BRPORT_LEARNING: 8, IFLA_BRPORT_UNICAST_FLOOD: 9, IFLA_BRPORT_MCAST_FLOOD: 27,
  IFLA_BRPORT_BCAST_FLOOD: 30, IFLA_BRPORT_NEIGH_SUPPRESS: 32, IFLA_BRPORT_ISOLATED: 33,
} as const;

/** Attributes of a macvlan link's data, and its modes. */
// biome-ignore format: a table
export const MACVLAN = {
  IFLA_MACVLAN_MODE: 1, MACVLAN_MODE_PRIVATE: 1, MACVLAN_MODE_VEPA: 2, MACVLAN_MODE_BRIDGE: 4, MACVLAN_MODE_PASSTHRU: 8,
} as const;

/** Attributes of a VLAN's and of an ipvlan's data, and the latter's modes and flags. */
// biome-ignore format: a table
export const VLAN = {
  IFLA_VLAN_ID: 1, IFLA_IPVLAN_MODE: 1, IFLA_IPVLAN_FLAGS: 2, IPVLAN_MODE_L2: 0, IPVLAN_F_PRIVATE: 1, IPVLAN_F_VEPA: 2,
} as const;

/** Attributes of a vxlan link's data. */
// biome-ignore format: a table
export const IFLA_VXLAN = {
  IFLA_VXLAN_ID: 1, IFLA_VXLAN_GROUP: 2, IFLA_VXLAN_LINK: 3, IFLA_VXLAN_LOCAL: 4, IFLA_VXLAN_TTL: 5, IFLA_VXLAN_LEARNING: 7,
  IFLA_VXLAN_PROXY: 11, IFLA_VXLAN_L2MISS: 13, IFLA_VXLAN_L3MISS: 14, IFLA_VXLAN_PORT: 15, IFLA_VXLAN_GROUP6: 16,
  IFLA_VXLAN_LOCAL6: 17,
} as const;

/** Address attributes and flags. */
// biome-ignore format: a table
export const IFA = {
  IFA_ADDRESS: 1, IFA_LOCAL: 2, IFA_LABEL: 3, IFA_BROADCAST: 4, IFA_FLAGS: 8, IFA_F_NODAD: 2, IFA_F_TENTATIVE: 0x40,
  IFA_F_PERMANENT: 0x80, IFA_F_NOPREFIXROUTE: 0x200,
} as const;

/** Route attributes. */
// biome-ignore format: a table
export const RTA = {
  RTA_DST: 1, RTA_OIF: 4, RTA_GATEWAY: 5, RTA_PRIORITY: 6, RTA_PREFSRC: 7, RTA_METRICS: 8, RTA_TABLE: 15, RTAX_MTU: 2,
  RTNH_F_ONLINK: 4,
} as const;

/** Routing tables, scopes, origins and route types. */
// biome-ignore format: a table
export const RT = {
  RT_TABLE_MAIN: 254, RT_TABLE_LOCAL: 255, RT_TABLE_COMPAT: 252, RT_SCOPE_UNIVERSE: 0, RT_SCOPE_LINK: 253, RT_SCOPE_HOST: 254,
  RTPROT_KERNEL: 2, RTPROT_BOOT: 3, RTPROT_STATIC: 4, RTN_UNICAST: 1, RTN_LOCAL: 2, RTN_BROADCAST: 3, RTN_MULTICAST: 5, RTN_BLACKHOLE: 6, RTN_UNREACHABLE: 7,
} as const;

/** Neighbour attributes. */
// biome-ignore format: a table
export const NDA = {
  NDA_DST: 1, NDA_LLADDR: 2, NDA_VLAN: 5, NDA_PORT: 6, NDA_VNI: 7, NDA_IFINDEX: 8, NDA_MASTER: 9,
} as const;

/** Neighbour states. */
// biome-ignore format: a table
export const NUD = {
  NUD_REACHABLE: 2, NUD_STALE: 4, NUD_NOARP: 0x40, NUD_PERMANENT: 0x80,
} as const;

/** Neighbour flags. */
// biome-ignore format: a table
export const NTF = {
  NTF_SELF: 2, NTF_MASTER: 4, NTF_PROXY: 8, NTF_STICKY: 0x40, NTF_ROUTER: 0x80,
} as const;

/** Queueing disciplines, filters and their actions: attributes, and where they stand. */
// biome-ignore format: a table
export const TC = {
  TCA_KIND: 1, TCA_OPTIONS: 2, TCA_TBF_PARMS: 1, TCA_TBF_RATE64: 4, TCA_TBF_BURST: 6, TC_H_ROOT: 0xffff_ffff,
  TC_H_INGRESS: 0xffff_fff1, TC_LINKLAYER_ETHERNET: 1, TCA_U32_SEL: 5, TCA_U32_ACT: 7, TC_U32_TERMINAL: 1, TCA_ACT_KIND: 1,
  TCA_ACT_OPTIONS: 2, TC_ACT_STOLEN: 4, TCA_MIRRED_PARMS: 2, TCA_EGRESS_REDIR: 1,
} as const;

/** Generic netlink: how a family's number is asked for by its name. */
// biome-ignore format: a table
export const GENL = {
  GENL_ID_CTRL: 16, CTRL_CMD_GETFAMILY: 3, CTRL_ATTR_FAMILY_ID: 1, CTRL_ATTR_FAMILY_NAME: 2,
} as const;

/** WireGuard: commands, attributes of a link, of its peers and of their allowed addresses. */
// biome-ignore format: a table
export const WG = {
  WG_GENL_VERSION: 1, WG_CMD_GET_DEVICE: 0, WG_CMD_SET_DEVICE: 1,
  WGDEVICE_A_IFINDEX: 1, WGDEVICE_A_PUBLIC_KEY: 4, WGDEVICE_A_PRIVATE_KEY: 3, WGDEVICE_A_LISTEN_PORT: 6, WGDEVICE_A_PEERS: 8,
  WGPEER_F_REMOVE_ME: 1, WGPEER_F_REPLACE_ALLOWEDIPS: 2, WGPEER_A_PUBLIC_KEY: 1, WGPEER_A_FLAGS: 3, WGPEER_A_ENDPOINT: 4,
  WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: 5, WGPEER_A_ALLOWEDIPS: 9, WGALLOWEDIP_A_FAMILY: 1, WGALLOWEDIP_A_IPADDR: 2,
  WGALLOWEDIP_A_CIDR_MASK: 3,
} as const;
