/** What a token is for. Pure. Source: distribution/docs/spec/auth/scope.md. */

const MAX_SCOPES = 20;
const MAX_ACTIONS = 10;
/** "repository:team/app:pull,push"; the name may have colons, as that of a host with a port has. */
const scopePattern = /^([a-z0-9]+(?:\([a-z0-9]+\))?:[A-Za-z0-9._:/-]{1,512}):([a-z*]+(?:,[a-z*]+){0,9})$/;

/** The scopes that a challenge names; what is none is left out. */
export const parseScopes = (text: string | undefined): string[] =>
  (text ?? "")
    .slice(0, 16_384)
    .split(" ")
    .filter((scope) => scopePattern.test(scope))
    .slice(0, MAX_SCOPES);

/** The actions of both, each resource once, in the order of its first mention; a limited number. */
export const mergeScopes = (ours: readonly string[], others: readonly string[]): string[] => {
  const merged = new Map<string, Set<string>>();
  for (const scope of [...ours, ...others]) {
    const colon = scope.lastIndexOf(":");
    const resource = scope.slice(0, colon);
    const actions = merged.get(resource) ?? new Set();
    for (const action of scope.slice(colon + 1).split(",")) actions.add(action);
    merged.set(resource, actions);
  }
  const written = [...merged].map(([resource, actions]) => `${resource}:${[...actions].slice(0, MAX_ACTIONS).join(",")}`);
  return written.slice(0, MAX_SCOPES);
};
