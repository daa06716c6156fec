import { describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import { fieldName, journalMessage } from "./log-journald.ts";
import { checkLog, logAttributes, syslogOptions } from "./log-options.ts";
import { syslogMessage } from "./log-syslog.ts";
import type { LogConfig } from "./types.ts";

const config = (driver: string, options: Record<string, string> = {}) =>
  ({ driver, maxSize: 0, maxFiles: 1, options }) as unknown as LogConfig;

describe("options", () => {
  test.each([
    ["fluentd", {}, "no such log driver: fluentd"],
    ["json-file", { "syslog-address": "x" }, "unknown log opt 'syslog-address' for json-file log driver"],
    ["none", { "max-size": "1" }, "unknown log opt 'max-size' for none log driver"],
    ["json-file", { compress: "true" }, "compress cannot be true when max-file is less than 2 or max-size is not set"],
    ["json-file", { "labels-regex": "(" }, "not a regular expression"],
    ["json-file", { tag: "{{.Name" }, "template"],
    ["syslog", { "syslog-facility": "nobody" }, 'invalid syslog facility "nobody"'],
    ["syslog", { "syslog-format": "rfc1" }, "Invalid syslog format"],
    ["syslog", { "syslog-address": "10.0.0.1" }, "should be in form proto://address"],
    ["syslog", { "syslog-address": "tcp://a:0" }, "should be in form proto://address"],
    ["journald", { "cache-disabled": "true" }, "taken from the local log"],
    ["json-file", { mode: "sometimes" }, "not supported"],
  ] as [string, Record<string, string>, string][])("%s %j is refused", (driver, options, message) => {
    expect(() => checkLog(config(driver, options))).toThrow(message);
  });

  test("those of each driver are taken", () => {
    checkLog(undefined);
    checkLog(config("json-file", { "max-size": "1m", labels: "a,b", tag: "{{.Name}}", compress: "false", mode: "non-blocking" }));
    checkLog(config("journald", { env: "A", "cache-max-size": "1m" }));
    checkLog(config("syslog", { "syslog-address": "udp://[::1]:5514", "syslog-facility": "local3", "syslog-format": "rfc5424" }));
    expect(syslogOptions({ "syslog-address": "tcp+tls://logs.example" })).toMatchObject({
      address: { kind: "tcp+tls", host: "logs.example", port: 514 },
      facility: 3,
    });
    expect(syslogOptions({ "syslog-address": "unixgram:///dev/log" }).address).toEqual({ kind: "unixgram", path: "/dev/log" });
  });

  test("labels and variables by name and by pattern", () => {
    const labels = { app: "web", "com.example.tier": "front", other: "x" };
    expect(logAttributes({ labels: "app,none", "env-regex": "^A" }, labels, ["A=1=2", "B=3", "AB"])).toEqual({
      app: "web",
      A: "1=2",
      AB: "",
    });
    expect(logAttributes({ "labels-regex": "^com" }, labels, [])).toEqual({ "com.example.tier": "front" });
    expect(logAttributes({}, labels, ["A=1"])).toEqual({});
  });
});

describe("syslog messages", () => {
  const entry = { time: "2026-03-04T05:06:07.123456789Z", stream: "stderr", text: "it is late\n" } as const;
  const message = (options: Record<string, string>) => syslogMessage(syslogOptions(options), "web", entry);
  const me = `${process.pid}`;

  test("in the forms there are", () => {
    expect(message({ "syslog-format": "rfc5424", "syslog-facility": "local0" })).toBe(
      `<131>1 2026-03-04T05:06:07Z ${hostname()} web ${me} web - it is late\n`,
    );
    expect(message({ "syslog-format": "rfc5424micro" })).toBe(
      `<27>1 2026-03-04T05:06:07.123456Z ${hostname()} web ${me} web - it is late\n`,
    );
    expect(message({ "syslog-format": "rfc3164" })).toMatch(
      new RegExp(`^<27>Mar  [345] ..:06:07 ${hostname()} web\\[${me}\\]: it is late\n$`),
    );
    expect(message({})).toMatch(new RegExp(`^<27>Mar  [345] ..:06:07 web\\[${me}\\]: it is late\n$`));
    const framed = message({ "syslog-format": "rfc5424", "syslog-address": "tcp+tls://a" });
    expect(framed).toMatch(/^\d+ <27>1 /);
    expect(Number(framed.split(" ")[0])).toBe(framed.length - framed.indexOf("<"));
  });
});

describe("journal entries", () => {
  test("fields as lines, values of several lines by their length", () => {
    const entry = { time: "2026-03-04T05:06:07Z", stream: "stdout", text: "a\nb" } as const;
    const bytes = Buffer.from(journalMessage({ CONTAINER_NAME: "web", "": "dropped" }, entry));
    const head =
      "CONTAINER_NAME=web\nPRIORITY=6\nSYSLOG_TIMESTAMP=2026-03-04T05:06:07Z\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE\n";
    expect(bytes.toString("latin1")).toBe(`${head}\x03\0\0\0\0\0\0\0a\nb\n`);
  });

  test("names as the journal takes them", () => {
    expect(["com.example-a", "_x", "9a", "ok"].map(fieldName)).toEqual(["COM_EXAMPLE_A", "X", "A", "OK"]);
  });
});
