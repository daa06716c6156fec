/** Versions of the runtime specification that onggi's own runtime knows. */
export const SPEC_MIN = "1.0.0";
export const SPEC_MAX = "1.3.0";
