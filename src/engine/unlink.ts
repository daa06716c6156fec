/** `rm --link`: takes a name of the default network away. */
import { OnggiError } from "../lib/errors.ts";
import { type Context, findContainer } from "./context.ts";
import { describe } from "./list.ts";
import { rewriteNetworkFiles } from "./networking.ts";

/** "/web/db": web's link of that alias. Variables that a process has it keeps. Throws "link_not_found", ContainerNotFound. */
export function removeLink(context: Context, name: string): Promise<void> {
  const [, owner = "", alias = ""] = /^\/?([^/]+)\/(.+)$/.exec(name) ?? [];
  if (owner === "") throw new OnggiError("link_not_found", `${name} names no link: write /CONTAINER/ALIAS`);
  const container = findContainer(context, owner);
  const { record } = container;
  return container.lock.run(() => {
    const { links = [] } = record.request;
    const rest = links.filter((link) => link.alias !== alias);
    if (rest.length === links.length) throw new OnggiError("link_not_found", `container ${record.name} has no link ${alias}`);
    record.request.links = rest;
    context.table.update(record, true);
    if (container.isUp) rewriteNetworkFiles(context, record);
    context.events.emit("container", "update", record.id, describe(record));
  });
}
