/**
 * A client that holds a lease, as a process of its own that can be killed: `lease-holder.ts SOCKET [ID]`.
 * Says {"id", "resumed"} when it holds the lease, takes it up again when the engine goes, ends it on a line of standard input and says what went.
 */
import { call, RemoteError } from "../../src/api/control/client.ts";

const [socket = "", wanted] = process.argv.slice(2);
let id = wanted;
const say = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
const line = new Promise<void>((resolve) => process.stdin.once("data", () => resolve()));

for (;;) {
  const resume = id !== undefined && id !== wanted;
  try {
    const end = await call(
      socket,
      "lease",
      { ...(id === undefined ? {} : { id }), resume },
      {
        opened: (input) => void line.then(() => input.detach()),
        item: (lease) => {
          id = lease.id;
          say({ id: lease.id, resumed: lease.resumed });
        },
      },
    );
    say(end);
    break;
  } catch (error) {
    if (error instanceof RemoteError && error.code !== "engine_stopping") {
      say({ error: error.code });
      break;
    }
    await Bun.sleep(20);
  }
}
