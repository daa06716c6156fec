import { expect, test } from "bun:test";
import { next, transitions, WrongState } from "./state.ts";

test("a whole life", () => {
  expect(next("a", "created", "start")).toBe("running");
  expect(next("a", "running", "pause")).toBe("paused");
  expect(next("a", "paused", "unpause")).toBe("running");
  expect(next("a", "running", "exit")).toBe("exited");
  expect(next("a", "exited", "start")).toBe("running");
  expect(next("a", "running", "lost")).toBe("dead");
  expect(next("a", "dead", "remove")).toBe("removing");
});

test("what is not in the table is refused with the state and the advice", () => {
  expect(() => next("web", "running", "remove")).toThrow(WrongState);
  expect(() => next("web", "running", "remove")).toThrow("cannot remove container web: it is running; stop it first");
  expect(() => next("web", "created", "pause")).toThrow("only a running container can be paused");
});

test("nothing leaves removing but its own end", () => {
  for (const [name, table] of Object.entries(transitions)) {
    if (name !== "remove") expect(table.removing).toBeUndefined();
  }
});
