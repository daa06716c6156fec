/** Tells at most one message in `every` milliseconds, and with the next how many were left out: a flood does not fill a log. */
export function throttled(tell: (message: string) => void, every = 1000): (message: string) => void {
  let told = Number.NEGATIVE_INFINITY;
  let untold = 0;
  return (message) => {
    const now = Date.now();
    if (now - told < every) {
      untold++;
      return;
    }
    tell(untold > 0 ? `${message} (and ${untold} more)` : message);
    told = now;
    untold = 0;
  };
}
