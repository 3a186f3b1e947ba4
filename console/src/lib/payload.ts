/** Payloads as they are typed: JSON, or text where it is none. */
export function parseData(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (_) {
    return text;
  }
}
