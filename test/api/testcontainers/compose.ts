/** Compose projects by testcontainers for Node; run by ../testcontainers.test.ts, which names the directory of a project. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DockerComposeEnvironment, type StartedDockerComposeEnvironment, Wait } from "testcontainers";

const awake = setInterval(() => {}, 1000);
let project: StartedDockerComposeEnvironment;
before(async () => {
  project = await new DockerComposeEnvironment(process.env.PROJECT!, "compose.yaml")
    .withEnvironment({ GREETING: "hello" })
    .withWaitStrategy("web-1", Wait.forListeningPorts())
    .withWaitStrategy("db-1", Wait.forHealthCheck())
    .up();
});
after(async () => {
  await project.down({ removeVolumes: true, timeout: 0 });
  clearInterval(awake);
});

test("its services are containers", async () => {
  const web = project.getContainer("web-1");
  const answer = await fetch(`http://${web.getHost()}:${web.getMappedPort(80)}/`);
  assert.equal(await answer.text(), "hello\n");
  const { stdout } = await web.exec(["sh", "-c", "wget -qO- web:80; ping -c 1 db >/dev/null && echo found"]);
  assert.equal(stdout, "hello\nfound\n");
});
