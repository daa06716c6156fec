import { ApiError, failureOf } from "../errors.ts";
import { operation } from "../operation.ts";
import * as q from "../query.ts";

const conditions = ["not-running", "next-exit", "removed"] as const;

export const wait = operation({
  id: "ContainerWait",
  tag: "Container",
  summary: "wait until a container has ended; the head is sent at once, the answer when it has",
  needs: "read",
  method: "POST",
  path: "/containers/{id}/wait",
  query: { condition: q.string(`${conditions.join(", ")}; absent: not-running`, { since: "1.30" }) },
  answers: { 200: "its exit code", 404: "no such container" },
  run: ({ engine, path, query, signal }) => {
    const asked = query.condition ?? "not-running";
    const condition = conditions.find((one) => one === asked);
    if (!condition) throw new ApiError(400, `invalid condition: ${JSON.stringify(asked)}`);
    const { id } = engine.inspect(path.id);
    // it waits from now on: who reads the head may start the container
    const waited = engine.wait(id, condition);
    const gone = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
    const answer = async function* (): AsyncGenerator<string> {
      try {
        const status = await Promise.race([waited, gone]);
        if (!status) return;
        yield `${JSON.stringify({ StatusCode: status.exitCode, Error: null })}\n`;
      } catch (error) {
        yield `${JSON.stringify({ StatusCode: -1, Error: { Message: failureOf(error).message } })}\n`;
      }
    };
    return { status: 200, headers: { "Content-Type": "application/json" }, body: answer() };
  },
});
