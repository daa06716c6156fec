/** Paths inside a container, as text. What they lead to is decided by the kernel when the plan runs. */

/** The components of an absolute path, "." and ".." taken out lexically; ".." above the root stays at the root. */
export function components(path: string): string[] {
  const result: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") result.pop();
    else if (part !== "" && part !== ".") result.push(part);
  }
  return result;
}

export const cleanPath = (path: string): string => `/${components(path).join("/")}`;

/** Whether `path` is `directory` or lies below it. Both clean. */
export const isWithin = (path: string, directory: string): boolean =>
  path === directory || directory === "/" || path.startsWith(`${directory}/`);
