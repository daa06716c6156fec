/** Header fields a registry answers with. Pure; every function survives any text. Sources: RFC 9110, RFC 8288, RFC 6585. */

/** One challenge of WWW-Authenticate; scheme and names of parameters in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly params: Readonly<Record<string, string>>;
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const parameter = new RegExp(`^(${token})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))[ \\t]*(?=,|$)`, "s");
const schemeOnly = new RegExp(`^(${token})(?:[ \\t]+|(?=,|$))`);
const token68 = /^[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)/;

/** The challenges of WWW-Authenticate (RFC 9110, section 11.6.1), several in one line too. What cannot be read is left out. */
export const parseChallenges = (header: string | null): Challenge[] => {
  const challenges: { scheme: string; params: Record<string, string> }[] = [];
  let rest = (header ?? "").slice(0, 16_384);
  for (;;) {
    rest = rest.replace(/^[ \t,]+/, "");
    if (rest === "") return challenges;
    const current = challenges.at(-1);
    const pair = current ? parameter.exec(rest) : null;
    if (current && pair) {
      const name = pair[1]!.toLowerCase();
      if (!Object.hasOwn(current.params, name) && name !== "__proto__")
        current.params[name] = pair[2] === undefined ? pair[3]! : pair[2].replace(/\\(.)/gs, "$1");
      rest = rest.slice(pair[0].length);
      continue;
    }
    const scheme = schemeOnly.exec(rest);
    if (scheme) {
      challenges.push({ scheme: scheme[1]!.toLowerCase(), params: {} });
      rest = rest.slice(scheme[0].length);
      // A scheme may carry one opaque token in place of parameters.
      if (!parameter.test(rest) && token68.test(rest)) rest = rest.replace(token68, "");
      continue;
    }
    const comma = rest.indexOf(",");
    if (comma < 0) return challenges;
    rest = rest.slice(comma);
  }
};

/** The target of rel="next" in Link (RFC 8288), as it stands there. */
export const nextLink = (header: string | null): string | null => {
  for (const match of (header ?? "").slice(0, 16_384).matchAll(/<([^<>]*)>([^<]*)/g)) {
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next(?=[\s;,]|$))/i.test(match[2]!)) return match[1]!;
  }
  return null;
};

/** Retry-After as milliseconds from `now` (milliseconds since 1970): seconds or a date. */
export const retryAfter = (header: string | null, now: number): number | null => {
  const text = header?.trim() ?? "";
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1000;
  // Dates have a day's name; Date.parse takes much else.
  const date = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - now);
};

/** "bytes 10-19/20": first and last byte, and the whole size where it is told. */
export const contentRange = (header: string | null): { start: number; end: number; total: number | null } | null => {
  const match = /^bytes ([0-9]{1,15})-([0-9]{1,15})\/(?:([0-9]{1,15})|\*)$/.exec(header?.trim() ?? "");
  if (!match) return null;
  const [start, end] = [Number(match[1]), Number(match[2])];
  const total = match[3] === undefined ? null : Number(match[3]);
  return start <= end && (total === null || end < total) ? { start, end, total } : null;
};

/** How many bytes an upload has, by the Range of its status: "0-99", or none. "0-0" is what registries say of nothing. */
export const uploadedBytes = (header: string | null): number => {
  const last = /^(?:bytes[ =])?0-([0-9]{1,15})$/.exec(header?.trim() ?? "")?.[1];
  return last === undefined || Number(last) === 0 ? 0 : Number(last) + 1;
};

/** A length or size in bytes; null where the field is missing or no number. */
export const lengthOf = (header: string | null): number | null =>
  /^[0-9]{1,15}$/.test(header?.trim() ?? "") ? Number(header) : null;
