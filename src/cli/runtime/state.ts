import type { State } from "../../standalone/types.ts";
import { command, containerOf } from "./command.ts";

/** The members in runc's order, whatever else the runtime's object has. */
export const stateShape = ({ ociVersion, id, pid, status, bundle, rootfs, created, annotations, owner }: State): State => ({
  ociVersion,
  id,
  pid,
  status,
  bundle,
  rootfs,
  created,
  ...(annotations && Object.keys(annotations).length > 0 ? { annotations } : {}),
  owner,
});

export const state = command({
  summary: "print the state of a container as JSON",
  operands: "<container-id>",
  flags: {},
  arity: [1, 1],
  async run(call) {
    const id = containerOf(call);
    call.ports.stdout(JSON.stringify(stateShape(await (await call.runtime()).state(id)), null, 2));
    return 0;
  },
});
