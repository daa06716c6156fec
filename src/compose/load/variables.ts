import { InterpolationError, variablesOf } from "./interpolate.ts";
import type { Node } from "./node.ts";

/** A variable that files name; keys as Docker's compose has them. */
export interface ModelVariable {
  Name: string;
  DefaultValue: string;
  /** What stands for it where it is set. */
  PresenceValue: string;
  Required: boolean;
}

/** Every variable of a model whose variables are not filled in, sorted; one that is named twice as it is named last. */
export function modelVariables(node: Node): ModelVariable[] {
  const found = new Map<string, ModelVariable>();
  visit(node, found);
  return [...found.values()].sort((a, b) => (a.Name < b.Name ? -1 : 1));
}

function visit(node: Node, found: Map<string, ModelVariable>): void {
  if (node.kind === "map") for (const { value } of node.entries.values()) visit(value, found);
  else if (node.kind === "list") for (const item of node.items) visit(item, found);
  else if (typeof node.value === "string" && node.value.includes("$")) {
    for (const { name, operator, operand = "" } of variables(node.value)) {
      found.set(name, {
        Name: name,
        DefaultValue: operator?.endsWith("-") ? operand : "",
        PresenceValue: operator?.endsWith("+") ? operand : "",
        Required: operator?.endsWith("?") ?? false,
      });
    }
  }
}

/** What is no variable is told when the file is loaded. */
function variables(text: string): ReturnType<typeof variablesOf> {
  try {
    return variablesOf(text);
  } catch (error) {
    if (error instanceof InterpolationError) return [];
    throw error;
  }
}
