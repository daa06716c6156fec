import { OnggiError } from "../../../lib/errors.ts";
import { ApiError, failureOf } from "../errors.ts";
import { json, operation } from "../operation.ts";
import * as q from "../query.ts";
import { object } from "../schema.ts";
import { createConfig, resourceFields, restartPolicy } from "./config.ts";
import { containerRequestOf } from "./create-request.ts";
import { resourcesOf } from "./resources.ts";

export const create = operation({
  id: "ContainerCreate",
  tag: "Container",
  summary: "make a container",
  needs: "admin",
  method: "POST",
  path: "/containers/create",
  query: {
    name: q.string("absent: one is made up"),
    platform: q.string("os/architecture of the image", { since: "1.41" }),
  },
  body: createConfig,
  answers: { 201: "its id, and what should be heard", 404: "no such image", 409: "the name is in use" },
  differs: "what onggi does not do is refused, and named: see api.md",
  run: async ({ engine, query, body }) => {
    try {
      const { id, warnings } = await engine.create(containerRequestOf(body, query.name, query.platform));
      return json(201, { Id: id, Warnings: [...warnings] });
    } catch (error) {
      const { status, message } = failureOf(error);
      if (status !== 404 || (error instanceof OnggiError && /^(image|platform)_not_found$/.test(error.code))) throw error;
      // to clients 404 is a missing image, which they pull
      throw new ApiError(400, message);
    }
  },
});

export const update = operation({
  id: "ContainerUpdate",
  tag: "Container",
  summary: "change limits and the restart policy of a container",
  needs: "admin",
  method: "POST",
  path: "/containers/{id}/update",
  body: object({ ...resourceFields, RestartPolicy: restartPolicy }),
  answers: { 200: "warnings", 404: "no such container" },
  run: async ({ engine, path, body }) => {
    const { Name: name = "", MaximumRetryCount: maximumRetryCount = 0 } = body.RestartPolicy ?? {};
    const resources = resourcesOf(body);
    const restart = name === "" ? undefined : { name, maximumRetryCount };
    // nothing to change is no error of Docker's
    if (restart || Object.keys(resources).length > 0) {
      const { warnings } = await engine.update(path.id, resources, restart);
      return json(200, { Warnings: warnings.length > 0 ? warnings : null });
    }
    engine.inspect(path.id);
    return json(200, { Warnings: null });
  },
});
