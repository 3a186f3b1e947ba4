/** Latencies over time, thinned to what a chart can show: the longest of each span. */

/** How wide a span is, in milliseconds. */
const SPAN_MS = 200;
/** Spans that are kept: five minutes. */
const SPANS_MAX = 1_500;

export interface Sample {
  /** The middle of the span, in wall milliseconds. */
  at: number;
  ms: number;
}

export class Series {
  /** By number of the span. */
  private spans = new Map<number, number>();

  add(at: number, ms: number): void {
    const span = Math.floor(at / SPAN_MS);
    this.spans.set(span, Math.max(this.spans.get(span) ?? 0, ms));
    if (this.spans.size > SPANS_MAX) this.spans.delete(Math.min(...this.spans.keys()));
  }

  /** What lies behind `from`, rising. */
  since(from: number): Sample[] {
    return [...this.spans]
      .map(([span, ms]) => ({ at: (span + 0.5) * SPAN_MS, ms }))
      .filter(({ at }) => at >= from)
      .sort((one, other) => one.at - other.at);
  }
}
