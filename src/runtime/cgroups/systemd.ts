import { V2Cgroups } from "./v2.ts";
export class SystemdCgroups extends V2Cgroups {}
