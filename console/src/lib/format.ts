/** Numbers, sizes, times and payloads as text for people. Pure: the time is told, and so is the language. */

export type Language = 'en' | 'zh';

/** For what is not known. */
export const DASH = '–';

const TAGS = { en: 'en', zh: 'zh-CN' } as const;
const BYTES_OF_KB = 1024;
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const formats = new Map<string, Intl.NumberFormat>();

function numberFormat(language: Language, digits: number): Intl.NumberFormat {
  const key = `${language}${digits}`;
  const format = formats.get(key) ?? new Intl.NumberFormat(TAGS[language], { maximumFractionDigits: digits });
  formats.set(key, format);
  return format;
}

/** `12,345`; with up to `digits` decimals. */
export function count(value: number | null | undefined, language: Language, digits = 0): string {
  return typeof value === 'number' && Number.isFinite(value)
    ? numberFormat(language, digits).format(value)
    : DASH;
}

/** Three digits that matter: `0.42`, `7.3`, `120`, `12.3k`. */
export function short(value: number | null | undefined): string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return DASH;
  const [scaled, unit] =
    Math.abs(value) >= 999_500_000
      ? [value / 1e9, 'G']
      : Math.abs(value) >= 999_500
        ? [value / 1e6, 'M']
        : Math.abs(value) >= 10_000
          ? [value / 1e3, 'k']
          : [value, ''];
  const size = Math.abs(scaled);
  const digits = size >= 100 || Number.isInteger(scaled) ? 0 : size >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))}${unit}`;
}

/** `512 B`, `1.5 KiB`, `3 GiB`. */
export function bytes(value: number | null | undefined): string {
  if (typeof value !== 'number' || !Number.isFinite(value)) return DASH;
  let [scaled, unit] = [value, 0];
  while (scaled >= BYTES_OF_KB && unit < 4) [scaled, unit] = [scaled / BYTES_OF_KB, unit + 1];
  const digits = unit === 0 || scaled >= 100 ? 0 : scaled >= 10 ? 1 : 2;
  return `${Number(scaled.toFixed(digits))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

const UNITS = {
  en: { day: 'd', hour: 'h', minute: 'min', second: 's', ms: 'ms' },
  zh: { day: '天', hour: '小时', minute: '分', second: '秒', ms: '毫秒' },
} as const;

/** `840 ms`, `4.2 s`, `3 min 10 s`, `2 d 4 h`: two units at most. */
export function duration(ms: number | null | undefined, language: Language): string {
  if (typeof ms !== 'number' || !Number.isFinite(ms)) return DASH;
  const unit = UNITS[language];
  const span = Math.max(0, ms);
  if (span < SECOND_MS) return `${Math.round(span)} ${unit.ms}`;
  if (span < 10 * SECOND_MS) return `${Number((span / SECOND_MS).toFixed(1))} ${unit.second}`;
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) => {
    const [whole, rest] = [Math.floor(span / big), Math.floor((span % big) / small)];
    return rest ? `${whole} ${bigUnit} ${rest} ${smallUnit}` : `${whole} ${bigUnit}`;
  };
  if (span < MINUTE_MS) return `${Math.floor(span / SECOND_MS)} ${unit.second}`;
  if (span < HOUR_MS) return two(MINUTE_MS, unit.minute, SECOND_MS, unit.second);
  if (span < DAY_MS) return two(HOUR_MS, unit.hour, MINUTE_MS, unit.minute);
  return two(DAY_MS, unit.day, HOUR_MS, unit.hour);
}

const pad = (value: number, width = 2) => String(value).padStart(width, '0');

/** `14:03:22.120` in the time of the browser. */
export function clock(at: number, withMs = false): string {
  const date = new Date(at);
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((it) => pad(it)).join(':');
  return withMs ? `${time}.${pad(date.getMilliseconds(), 3)}` : time;
}

/** `2026-11-30`. */
export function day(at: number): string {
  const date = new Date(at);
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
}

/** Date and time; without the date where it is today. */
export function moment(at: number | null | undefined, now: number): string {
  if (typeof at !== 'number') return DASH;
  return day(at) === day(now) ? clock(at) : `${day(at)} ${clock(at)}`;
}

/** `12.5 %`. */
export function percent(part: number, whole: number, language: Language): string {
  return whole > 0 ? `${count((100 * part) / whole, language, part * 10 >= whole ? 0 : 1)} %` : DASH;
}

/** A payload on one line, at most so many characters. */
export function oneLine(data: unknown, charsMax = 200): string {
  const text = typeof data === 'string' ? data : (JSON.stringify(data) ?? String(data));
  return text.length > charsMax ? `${text.slice(0, charsMax)}…` : text;
}

/** A payload over several lines. */
export function pretty(data: unknown): string {
  return JSON.stringify(data, null, 2) ?? String(data);
}
