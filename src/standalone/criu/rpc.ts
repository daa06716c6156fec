/** The requests and responses of `criu swrk` (criu's images/rpc.proto), as far as a container's checkpoint needs them. Pure. */
import { OnggiError } from "../../lib/errors.ts";
import { decodeMessage, encodeMessage, type Field, type Raw } from "./protobuf.ts";

/** criu_req_type */
export const request = { dump: 1, restore: 2, preDump: 4, notify: 6, featureCheck: 9, version: 10 } as const;

/** criu_cg_mode; "default" is criu's own choice, which is soft. */
const cgroupModes = { ignore: 0, soft: 3, full: 4, strict: 5, default: 6 } as const;

/** criu_network_lock_method: by whom packets are kept away meanwhile. */
const networkLocks = { iptables: 1, nftables: 2, skip: 3 } as const;

/** criu_opts. Descriptors are numbers of the process that made the socket, those of `inheritFds` criu's own. */
export interface CriuSettings {
  readonly imagesDirFd: number;
  readonly workDirFd?: number | undefined;
  readonly pid?: number;
  readonly leaveRunning?: boolean | undefined;
  readonly externalUnixSockets?: boolean | undefined;
  readonly tcpEstablished?: boolean | undefined;
  readonly tcpSkipInFlight?: boolean | undefined;
  readonly shellJob?: boolean | undefined;
  readonly fileLocks?: boolean | undefined;
  readonly linkRemap?: boolean | undefined;
  readonly evasiveDevices?: boolean;
  /** 0 to 4. */
  readonly logLevel: number;
  /** A name in the work directory, or else in the image directory. */
  readonly logFile: string;
  readonly pageServer?: { readonly address: string; readonly port: number } | undefined;
  readonly root: string;
  /** Relative to the image directory. */
  readonly parentImage?: string | undefined;
  readonly trackMemory?: boolean;
  readonly autoDedup?: boolean | undefined;
  /** criu(8), --ext-mount-map: key and value. */
  readonly externalMounts?: readonly (readonly [key: string, value: string])[];
  /** For each controller where in its hierarchy the groups go to; the controller of cgroup v2 is "". */
  readonly cgroupRoots?: readonly (readonly [controller: string, path: string])[];
  /** The restored process is criu's sibling, not its child. */
  readonly restoreSibling?: boolean;
  readonly inheritFds?: readonly (readonly [key: string, fd: number])[];
  readonly cgroupsMode: keyof typeof cgroupModes;
  /** criu(8), --external. */
  readonly external?: readonly string[];
  /** CLONE_NEW* flags of namespaces whose content is left to others. */
  readonly emptyNamespaces: number;
  readonly joinNamespaces?: readonly (readonly [namespace: string, file: string])[];
  readonly freezeCgroup?: string | undefined;
  readonly lazyPages?: boolean | undefined;
  /** A terminal whose master is outside: its new master is sent along with a notification. */
  readonly orphanPtsMaster: boolean;
  readonly configFile?: string | undefined;
  readonly lsmProfile?: string | undefined;
  readonly lsmMountContext?: string | undefined;
  readonly networkLock: keyof typeof networkLocks;
}

function encodeSettings(settings: CriuSettings): Uint8Array {
  const { pageServer } = settings;
  const pairs = (number: number, given: readonly (readonly [string, string | number])[] = []): Field[] =>
    given.map(([first, second]) => [
      number,
      encodeMessage([
        [1, first],
        [2, second],
      ]),
    ]);
  return encodeMessage([
    [1, settings.imagesDirFd],
    [2, settings.pid],
    [3, settings.leaveRunning],
    [4, settings.externalUnixSockets],
    [5, settings.tcpEstablished],
    [6, settings.evasiveDevices],
    [7, settings.shellJob],
    [8, settings.fileLocks],
    [9, settings.logLevel],
    [10, settings.logFile],
    ...pairs(11, pageServer ? [[pageServer.address, pageServer.port]] : []),
    [12, true], // notify_scripts
    [13, settings.root],
    [14, settings.parentImage],
    [15, settings.trackMemory],
    [16, settings.autoDedup],
    [17, settings.workDirFd],
    [18, settings.linkRemap],
    ...pairs(23, settings.externalMounts),
    [24, true], // manage_cgroups, without which the mode counts for nothing
    ...pairs(25, settings.cgroupRoots),
    [26, settings.restoreSibling],
    ...pairs(27, settings.inheritFds),
    [34, cgroupModes[settings.cgroupsMode]],
    ...(settings.external ?? []).map((external): Field => [37, external]),
    [38, settings.emptyNamespaces],
    ...pairs(39, settings.joinNamespaces),
    [44, settings.freezeCgroup],
    [46, settings.tcpSkipInFlight],
    [48, settings.lazyPages],
    [50, settings.orphanPtsMaster],
    [51, settings.configFile],
    [53, settings.lsmProfile],
    [63, settings.lsmMountContext],
    [64, networkLocks[settings.networkLock]],
  ]);
}

export interface CriuFeatures {
  /** Which pages have changed since an earlier dump. */
  readonly memoryTracking: boolean;
  readonly lazyPages: boolean;
}

const encodeFeatures = ({ memoryTracking, lazyPages }: CriuFeatures): Uint8Array =>
  encodeMessage([
    [1, memoryTracking],
    [2, lazyPages],
  ]);

export const encodeRequest = (type: "dump" | "restore" | "preDump", settings: CriuSettings): Uint8Array =>
  encodeMessage([
    [1, request[type]],
    [2, encodeSettings(settings)],
  ]);

export const encodeVersionRequest = (): Uint8Array => encodeMessage([[1, request.version]]);

export const encodeFeatureRequest = (features: CriuFeatures): Uint8Array =>
  encodeMessage([
    [1, request.featureCheck],
    [5, encodeFeatures(features)],
  ]);

/** The answer to a notification, without which criu does not go on; `success` false makes it give up. */
export const encodeNotified = (success: boolean): Uint8Array =>
  encodeMessage([
    [1, request.notify],
    [3, success],
  ]);

export interface CriuResponse {
  /** criu_req_type */
  readonly type: number;
  readonly success: boolean;
  /** The restored process. */
  readonly restoredPid: number | null;
  /** What criu has come to; `pid` 0 where that is about no process. */
  readonly notification: { readonly script: string; readonly pid: number } | null;
  /** Of the call that failed; 0: of none. */
  readonly errno: number;
  readonly features: CriuFeatures;
  /** As criu counts: 41101 is 4.11.1. */
  readonly version: number;
}

const text = new TextDecoder();

/** The last value of a field counts, as protobuf has it. */
class Message {
  private readonly fields: Map<number, Raw[]>;

  constructor(bytes: Uint8Array) {
    this.fields = decodeMessage(bytes);
  }

  /** An int32; negative ones travel as 64 bits. */
  int(number: number): number {
    const value = this.fields.get(number)?.at(-1);
    return typeof value === "bigint" ? Number(BigInt.asIntN(32, value)) : 0;
  }

  bytes(number: number): Uint8Array | null {
    const value = this.fields.get(number)?.at(-1);
    return value instanceof Uint8Array ? value : null;
  }

  text(number: number): string {
    return text.decode(this.bytes(number) ?? new Uint8Array());
  }

  message(number: number): Message | null {
    const bytes = this.bytes(number);
    return bytes && new Message(bytes);
  }
}

/** criu_resp. Throws OnggiError `criu_failed` for what is none. */
export function decodeResponse(bytes: Uint8Array): CriuResponse {
  const response = new Message(bytes);
  const type = response.int(1);
  if (type === 0) throw new OnggiError("criu_failed", "criu's answer does not say what it answers");
  const notify = response.message(5);
  const features = response.message(8);
  const version = response.message(10);
  return {
    type,
    success: response.int(2) !== 0,
    restoredPid: response.message(4)?.int(1) ?? null,
    notification: notify && { script: notify.text(1), pid: notify.int(2) },
    errno: response.int(7),
    features: { memoryTracking: features?.int(1) === 1, lazyPages: features?.int(2) === 1 },
    version: version ? version.int(1) * 10_000 + version.int(2) * 100 + version.int(4) : 0,
  };
}
