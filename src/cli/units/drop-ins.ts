/**
 * Folders of drop-ins for a unit file, those that count least first, systemd.unit(5): "container.d", "web-.container.d",
 * "web-db.container.d"; of an instance also those of its template. Pure.
 */
export function dropInNames(name: string): string[] {
  const dot = name.lastIndexOf(".");
  const [stem, type] = [name.slice(0, dot), name.slice(dot + 1)];
  const template = /^(.*@)[^@]+$/.exec(stem)?.[1];
  const parts = stem.split("-");
  const truncated = parts.slice(1).map((_, at) => `${parts.slice(0, at + 1).join("-")}-`);
  return [type, ...[...truncated, ...(template ? [template] : []), stem].map((one) => `${one}.${type}`)].map((one) => `${one}.d`);
}
