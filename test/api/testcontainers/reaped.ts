/** A process that starts things by testcontainers and dies without a word; run by ../testcontainers.test.ts. Prints its reaper's id. */
import { GenericContainer, getContainerRuntimeClient, Network } from "testcontainers";

const network = await new Network().start();
await new GenericContainer("busybox").withCommand(["sleep", "1000"]).withNetwork(network).withName("reaped-one").start();
await new GenericContainer("busybox").withCommand(["sleep", "1000"]).withName("reaped-two").start();
const client = await getContainerRuntimeClient();
const [reaper] = (await client.container.list()).filter(({ Image }) => Image === process.env.RYUK_CONTAINER_IMAGE);
console.log(reaper?.Id);
process.kill(process.pid, "SIGKILL");
