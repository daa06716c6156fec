import { statSync, writeFileSync } from "node:fs";
import { absolute, command } from "./command.ts";

export const spec = command({
  summary: "write a specification to start from",
  operands: "",
  description: `Writes "config.json" for a container that runs "sh" on a terminal, with the bundle's "rootfs" as its root file
system. Edit it to your needs: at least "args" has to fit the root file system. An existing file is not touched.`,
  flags: {
    bundle: { kind: "string", short: "b", help: "the bundle's directory, by default the current one" },
    rootless: { kind: "bool", help: "for a user who is not root" },
  },
  arity: [0, 0],
  async run({ values, ports }) {
    const bundle = absolute(ports.cwd, values.bundle) ?? ports.cwd;
    if (!statSync(bundle).isDirectory()) throw new Error(`chdir ${bundle}: not a directory`);
    const specification = (await ports.facts()).defaultSpec({ rootless: values.rootless === true });
    const file = `${bundle}/config.json`;
    try {
      writeFileSync(file, JSON.stringify(specification, null, "\t"), { flag: "wx", mode: 0o666 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") throw new Error("File config.json exists. Remove it first");
      throw error;
    }
    return 0;
  },
});
