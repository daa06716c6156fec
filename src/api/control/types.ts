/** What the layers above see of the engine's values. Types only. */

export type {
  ContainerInfo,
  ContainerRequest,
  ContainerState,
  ContainerStatus,
  ContainerSummary,
  DeviceRequest,
  EngineEvent,
  EngineStatus,
  ExecRequest,
  Image,
  ImageSummary,
  LogConfig,
  MountRequest,
  PulledName,
  PullRequest,
  RegistryAuth,
  Resources,
  RuntimeInfo,
  StatsSample,
  Ulimit,
} from "../../engine/types.ts";
