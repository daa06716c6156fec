// Entries as Docker's json-file driver and CRI write them.
#include <string.h>
#include <time.h>

#include "log.h"

static uint8_t *put(uint8_t *out, const char *text) {
  size_t length = strlen(text);
  memcpy(out, text, length);
  return out + length;
}

static char *put_number(char *out, unsigned value, int digits) {
  for (int i = digits - 1; i >= 0; i--, value /= 10) out[i] = (char)('0' + value % 10);
  return out + digits;
}

void log_time(char text[LOG_TIME_MAX]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  const unsigned parts[6] = {(unsigned)utc.tm_year + 1900, (unsigned)utc.tm_mon + 1, (unsigned)utc.tm_mday,
                             (unsigned)utc.tm_hour,        (unsigned)utc.tm_min,     (unsigned)utc.tm_sec};
  char *out = text;
  for (int i = 0; i < 6; i++) {
    out = put_number(out, parts[i], i == 0 ? 4 : 2);
    *out++ = "--T::."[i];
  }
  out = put_number(out, (unsigned)now.tv_nsec, 9);
  while (out[-1] == '0') out--;
  if (out[-1] == '.') out--;
  *out++ = 'Z';
  *out = 0;
}

// The length of the UTF-8 sequence at `at`, 0 if there is none (RFC 3629: no surrogates, nothing over U+10FFFF, shortest form).
static size_t sequence(const uint8_t *at, const uint8_t *end) {
  uint8_t first = *at;
  size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length < 2) return length;
  if ((size_t)(end - at) < length) return 0;
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < low || at[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((at[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

size_t log_cut(const uint8_t *line) {
  for (size_t back = 1; back <= 3; back++) {
    uint8_t byte = line[LOG_LINE_MAX - back];
    if ((byte & 0xc0) == 0x80) continue;
    size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? LOG_LINE_MAX - back : LOG_LINE_MAX;
  }
  return LOG_LINE_MAX;
}

static uint8_t *put_escape(uint8_t *out, uint8_t byte) {
  static const char hex[] = "0123456789abcdef";
  *out++ = '\\';
  if (byte == '"' || byte == '\\') {
    *out++ = byte;
  } else if (byte == '\n' || byte == '\r') {
    *out++ = byte == '\n' ? 'n' : 'r';
  } else {
    out = put(out, "u00");
    *out++ = (uint8_t)hex[byte >> 4];
    *out++ = (uint8_t)hex[byte & 15];
  }
  return out;
}

// A JSON string's inside, escaped as Docker does: also what HTML and JavaScript would mistake.
static uint8_t *put_json(uint8_t *out, const uint8_t *at, const uint8_t *end) {
  while (at < end) {
    uint8_t byte = *at;
    if (byte < 0x80) {
      bool plain = byte >= 0x20 && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&';
      if (plain) {
        *out++ = byte;
      } else {
        out = put_escape(out, byte);
      }
      at++;
      continue;
    }
    size_t length = sequence(at, end);
    bool separator = length == 3 && at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0xa8 || at[2] == 0xa9);
    if (length == 0) {
      out = put(out, "\\ufffd");
      length = 1;
    } else if (separator) {
      out = put(out, at[2] == 0xa8 ? "\\u2028" : "\\u2029");
    } else {
      memcpy(out, at, length);
      out += length;
    }
    at += length;
  }
  return out;
}

uint8_t *log_entry(uint8_t *out, enum log_format format, enum output stream, const char *time, const uint8_t *line,
                   size_t length, bool whole) {
  const char *name = stream == OUTPUT_STDOUT ? "stdout" : "stderr";
  if (format == LOG_JSON) {
    out = put(out, "{\"log\":\"");
    out = put_json(out, line, line + length);
    out = put(out, whole ? "\\n\",\"stream\":\"" : "\",\"stream\":\"");
    out = put(out, name);
    out = put(out, "\",\"time\":\"");
    out = put(out, time);
    return put(out, "\"}\n");
  }
  out = put(out, time);
  *out++ = ' ';
  out = put(out, name);
  out = put(out, whole ? " F " : " P ");
  memcpy(out, line, length);
  out += length;
  *out++ = '\n';
  return out;
}
