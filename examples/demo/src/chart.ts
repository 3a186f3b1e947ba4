/**
 * Draws the latency of the last three quarters of a minute, and when which line was down.
 *
 * A publication is drawn at the moment it was sent, so what waited for a line to come back fills the time it was down.
 */

import type { Outage } from './outages.ts';
import { Series } from './series.ts';

/** What the chart shows of one phone. */
export interface Track {
  phone: string;
  series: Series;
}

const SHOWN_MS = 45_000;
/** The scale is logarithmic: a healthy line takes about a millisecond, a pulled cable many seconds. */
const LEAST_MS = 1;
const MOST_MS = 30_000;
const TICKS: [ms: number, label: string][] = [
  [1, '1 ms'],
  [10, '10 ms'],
  [100, '100 ms'],
  [1_000, '1 s'],
  [10_000, '10 s'],
];
const MARGIN = { left: 48, right: 6, top: 22, bottom: 18 };
const LANE_HEIGHT = 6;

export class Chart {
  private readonly canvas = document.createElement('canvas');

  constructor(
    parent: HTMLElement,
    private readonly tracks: Track[],
  ) {
    parent.append(this.canvas);
  }

  draw(now: number, outages: Outage[]): void {
    const context = this.canvas.getContext('2d');
    if (!context) return;
    const { width, height } = this.fit(context);
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    const x = (at: number) => MARGIN.left + (1 - (now - at) / SHOWN_MS) * (width - MARGIN.left - MARGIN.right);
    const y = (ms: number) => {
      const share = Math.log(clamp(ms, LEAST_MS, MOST_MS) / LEAST_MS) / Math.log(MOST_MS / LEAST_MS);
      return height - MARGIN.bottom - share * (height - MARGIN.top - MARGIN.bottom);
    };

    context.clearRect(0, 0, width, height);
    this.drawScale(context, width, height, x, y, now, colour);
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, 0, width - MARGIN.left - MARGIN.right, height);
    context.clip();
    this.drawOutages(context, height, x, now, outages, colour);
    for (const { phone, series } of this.tracks) {
      drawSeries(context, series.since(now - SHOWN_MS - 1_000), x, y, height, colour(phone));
    }
    context.restore();
  }

  /** Makes the canvas as sharp as the screen; its size in CSS pixels. */
  private fit(context: CanvasRenderingContext2D): { width: number; height: number } {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return { width, height };
  }

  private drawScale(
    context: CanvasRenderingContext2D,
    width: number,
    height: number,
    x: (at: number) => number,
    y: (ms: number) => number,
    now: number,
    colour: (name: string) => string,
  ): void {
    context.font = `11px ${getComputedStyle(this.canvas).fontFamily}`;
    context.fillStyle = colour('faint');
    context.strokeStyle = colour('grid');
    context.lineWidth = 1;
    context.textAlign = 'right';
    context.textBaseline = 'middle';
    for (const [ms, label] of TICKS) {
      const at = Math.round(y(ms)) + 0.5;
      context.fillText(label, MARGIN.left - 8, at);
      context.beginPath();
      context.moveTo(MARGIN.left, at);
      context.lineTo(width - MARGIN.right, at);
      context.stroke();
    }
    context.textAlign = 'center';
    for (const ago of [40, 30, 20, 10]) {
      context.fillText(`−${ago} s`, x(now - ago * 1000), height - 6);
    }
  }

  /** A veil over the time a line was down, and above it a lane for each phone. */
  private drawOutages(
    context: CanvasRenderingContext2D,
    height: number,
    x: (at: number) => number,
    now: number,
    outages: Outage[],
    colour: (name: string) => string,
  ): void {
    this.tracks.forEach(({ phone }, lane) => {
      const top = lane * (LANE_HEIGHT + 2) + 2;
      context.fillStyle = colour(phone);
      for (const { from, until = now } of outages.filter((outage) => outage.phone === phone)) {
        const left = x(from);
        // A drop that healed within a blink is still a drop.
        const wide = Math.max(2, x(until) - left);
        context.globalAlpha = 0.1;
        context.fillRect(left, top, wide, height - MARGIN.bottom - top);
        context.globalAlpha = 0.9;
        context.beginPath();
        context.roundRect(left, top, wide, LANE_HEIGHT, 2);
        context.fill();
      }
      context.globalAlpha = 1;
    });
  }
}

/** Nothing is drawn between two samples further apart than this: nobody sent anything. */
const PAUSE_MS = 1_500;

function drawSeries(
  context: CanvasRenderingContext2D,
  samples: { at: number; ms: number }[],
  x: (at: number) => number,
  y: (ms: number) => number,
  height: number,
  colour: string,
): void {
  const pieces: { at: number; ms: number }[][] = [];
  samples.forEach((sample, index) => {
    const before = samples[index - 1];
    if (!before || sample.at - before.at > PAUSE_MS) pieces.push([]);
    pieces[pieces.length - 1]!.push(sample);
  });
  context.lineJoin = 'round';
  context.lineWidth = 1.75;
  context.strokeStyle = context.fillStyle = colour;
  for (const piece of pieces) {
    const line = new Path2D();
    piece.forEach(({ at, ms }, index) => (index ? line.lineTo(x(at), y(ms)) : line.moveTo(x(at), y(ms))));
    context.stroke(line);
    const area = new Path2D(line);
    area.lineTo(x(piece[piece.length - 1]!.at), height - MARGIN.bottom);
    area.lineTo(x(piece[0]!.at), height - MARGIN.bottom);
    context.globalAlpha = 0.08;
    context.fill(area);
    context.globalAlpha = 1;
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
