import { bundleFlags, createOptionsOf } from "./bundle.ts";
import { command, defined } from "./command.ts";
import { criuFlags, criuOptionsOf } from "./criu.ts";

export const restore = command({
  summary: "make a container of the files a checkpoint has saved",
  operands: "<container-id>",
  flags: {
    ...bundleFlags,
    ...criuFlags,
    detach: { kind: "bool", short: "d", help: "do not wait for the container's end" },
    "no-subreaper": { kind: "bool", help: "do not adopt the container's orphans" },
    "lsm-profile": { kind: "string", help: "TYPE:NAME of the security profile to restore with" },
    "lsm-mount-context": { kind: "string", help: "security context of the mounts to restore with" },
  },
  arity: [1, 1],
  async run(call) {
    const { values, ports } = call;
    const options = {
      ...createOptionsOf(call),
      ...criuOptionsOf(values, ports),
      ...defined({
        detach: values.detach,
        noSubreaper: values["no-subreaper"],
        lsmProfile: values["lsm-profile"] || undefined,
        lsmMountContext: values["lsm-mount-context"] || undefined,
      }),
    };
    const runtime = await call.runtime();
    return runtime.restore(options);
  },
});
