import { eraseCredentials, keyOf } from "../credentials/credentials.ts";
import { registryOf } from "../oci/reference.ts";
import { define } from "./command.ts";
import { line } from "./context.ts";

export const command = define({
  usage: "[SERVER]",
  summary: "forget the credentials for a registry",
  flags: {},
  args: [0, 1],
  examples: [
    ["logout", "of Docker Hub"],
    ["logout registry.example:5000", "of another registry"],
  ],
  async run(context, _, [server = "docker.io"]) {
    const domain = registryOf(server);
    const shown = keyOf(domain);
    const had = await eraseCredentials(context, domain);
    await line(context.stdout, had ? `Removing login credentials for ${shown}` : `Not logged in to ${shown}`);
    return 0;
  },
});
