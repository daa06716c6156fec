/** Terminals: their size, raw mode for the command line's own, and new pseudo terminals. */
import { O, TERMIOS, TIOC } from "./constants.ts";
import { sys } from "./ffi.ts";
import { close, open } from "./file.ts";

export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

const size = new Uint16Array(4);

/** The size of a terminal in characters. ENOTTY if `fd` is none. */
export function getWindowSize(fd: number): WindowSize {
  sys("ioctl", fd, fd, TIOC.TIOCGWINSZ, size);
  return { rows: size[0]!, columns: size[1]! };
}

/** Sets the size of a terminal; the processes on it get SIGWINCH if it changed. */
export function setWindowSize(fd: number, { rows, columns }: WindowSize): void {
  sys("ioctl", fd, fd, TIOC.TIOCSWINSZ, new Uint16Array([rows, columns, 0, 0]));
}

/** A terminal's settings: the kernel's struct termios as it is, 36 bytes. */
export type Termios = Uint8Array;

export function tcgetattr(fd: number): Termios {
  const settings = new Uint8Array(36);
  sys("ioctl", fd, fd, TIOC.TCGETS, settings);
  return settings;
}

/** Sets a terminal's settings; `when` the output written so far has gone out, with "flush" unread input is dropped too. */
export function tcsetattr(fd: number, settings: Termios, when: "now" | "drain" | "flush" = "now"): void {
  const request = { now: TIOC.TCSETS, drain: TIOC.TCSETSW, flush: TIOC.TCSETSF }[when];
  sys("ioctl", fd, fd, request, settings);
}

/** Settings by which every byte passes as it is, cfmakeraw(3). The argument stays as it was. */
export function rawSettings(settings: Termios): Termios {
  const raw = settings.slice();
  const view = new DataView(raw.buffer);
  const clear = (at: number, bits: number) => view.setUint32(at, view.getUint32(at, true) & ~bits, true);
  const { IGNBRK, BRKINT, PARMRK, ISTRIP, INLCR, IGNCR, ICRNL, IXON } = TERMIOS;
  clear(0, IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  clear(4, TERMIOS.OPOST);
  clear(8, TERMIOS.CSIZE | TERMIOS.PARENB);
  view.setUint32(8, view.getUint32(8, true) | TERMIOS.CS8, true);
  clear(12, TERMIOS.ECHO | TERMIOS.ECHONL | TERMIOS.ICANON | TERMIOS.ISIG | TERMIOS.IEXTEN);
  raw[17 + TERMIOS.VMIN] = 1;
  raw[17 + TERMIOS.VTIME] = 0;
  return raw;
}

/**
 * Puts a terminal into raw mode.
 * @returns the former settings, for `tcsetattr` at the end
 * @throws SysError ENOTTY if `fd` is no terminal
 */
export function makeRaw(fd: number): Termios {
  const former = tcgetattr(fd);
  tcsetattr(fd, rawSettings(former), "drain");
  return former;
}

export const isTerminal = (fd: number): boolean => {
  try {
    tcgetattr(fd);
    return true;
  } catch {
    return false;
  }
};

/** A pseudo terminal, pty(7): both ends, neither of them a controlling terminal. */
export function openPty(): { master: number; slave: number } {
  const master = open("/dev/ptmx", O.O_RDWR | O.O_NOCTTY);
  try {
    sys("ioctl", master, master, TIOC.TIOCSPTLCK, new Int32Array(1));
    const slave = sys("ioctl", master, master, TIOC.TIOCGPTPEER, O.O_RDWR | O.O_NOCTTY | O.O_CLOEXEC);
    return { master, slave };
  } catch (error) {
    close(master);
    throw error;
  }
}
