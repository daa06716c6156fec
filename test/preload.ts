/**
 * Property tests take another seed every time, so that they find more the more often they are run. The gate takes always the same
 * one: what it says of a change must be about that change. A counterexample found elsewhere becomes a test of its own.
 */
import fc from "fast-check";

if (process.env.CI) fc.configureGlobal({ seed: 20261121 });
