/** What attacks on masks and consoles look at: what is really mounted at a path, and what is read there. */
import { readFileSync } from "node:fs";

export const CORE_PATTERN = "/proc/sys/kernel/core_pattern";
export const corePattern = (): string => readFileSync(CORE_PATTERN, "utf8");

/** Reads the masked paths and writes nothing: on a runtime that falls for the attack that would hit the host. */
export const READ_MASKS = `
for path in /proc/keys /proc/timer_list; do
  echo "$path $(stat -c %t:%T $path) $(head -c 20 $path)"
done
grep -E ' (/proc/keys|/proc/timer_list|/proc/sysrq-trigger) ' /proc/self/mountinfo | grep -E '^[0-9]+ [0-9]+ [0-9:]+ /(sys|sysrq|bait)' && echo "mounted over"
for path in ${CORE_PATTERN} /proc/sysrq-trigger; do (: >> $path) 2>/dev/null && echo "$path writable"; done
exit 0`;

export const MASKED = "/proc/keys 1:3 \n/proc/timer_list 1:3 \n";
