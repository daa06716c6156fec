/** What an engine is set to, as the layers above see it. */

/** One setting of an engine, by its name in engine.toml. */
export interface EngineSetting {
  name: string;
  value: string;
  /** "flag", "environment", "default", or a file. */
  from: string;
  /** In that file, counted from 1. */
  line?: number;
  /** A running engine takes another value when it reads its settings anew; else the next engine does. */
  when: "reload" | "restart";
}

/** A setting that is written otherwise than it is in force. */
export interface PendingSetting {
  name: string;
  /** What is written; null: nothing, or what is built in. */
  value: string | null;
  when: "reload" | "restart";
}

export interface SettingsReport {
  settings: readonly EngineSetting[];
  pending: readonly PendingSetting[];
  /** Why what is written cannot be had; empty when all is well. */
  problem: string;
}

/** What came of reading the settings anew: names of those that changed, and of those that the next engine will have. */
export interface Reloaded {
  changed: string[];
  pending: string[];
}
