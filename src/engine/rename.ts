/** Another name for a container, also while it runs: its records, its name in networks, who finds it. */
import { OnggiError } from "../lib/errors.ts";
import type { Container } from "./container.ts";
import type { Context } from "./context.ts";
import { checkName } from "./create.ts";
import { describe } from "./list.ts";
import { nameAnew } from "./networking.ts";

/** Throws "invalid_name" and "name_in_use"; nothing has changed then. What its networks cannot be told is logged. */
export function renameContainer(context: Context, container: Container, wanted: string): Promise<void> {
  return container.lock.run(async () => {
    const { record } = container;
    const before = record.name;
    const name = wanted.startsWith("/") ? wanted.slice(1) : wanted;
    if (name === before)
      throw new OnggiError("name_in_use", `renaming a container with the same name as its current name: ${name}`);
    checkName(context, name);
    record.name = name;
    try {
      context.table.update(record, true);
    } catch (error) {
      record.name = before;
      throw error;
    }
    if (container.isUp) await nameAnew(context, record);
    context.events.emit("container", "rename", record.id, { ...describe(record), oldName: `/${before}` });
  });
}
