/** Puts the SDK's drops and welcomes together: why a line was down, for how long, and how it came back. */

import type { DropCause, DropOutput } from 'tautline';

/** A line was down once. */
export interface Outage {
  phone: string;
  /** In wall milliseconds: when the trouble began, where that is known, else when the line noticed. */
  from: number;
  /** When it was back; undefined while it is down. */
  until?: number;
  cause: DropCause;
  /** What the SDK said besides; often nothing. */
  message: string;
  /** Dials that failed meanwhile. */
  failedDials: number;
  /** Publications that were waiting in the log when it came back. */
  caughtUp: number;
}

/** Outages that are kept: those on the chart and in the list, and some more. */
const OUTAGES_MAX = 200;

export class Outages {
  /** Oldest first. */
  readonly list: Outage[] = [];
  /** By phone: when its network was hurt, until the line is back. */
  private troubles = new Map<string, number>();

  /** Something was done to the phone's network. */
  trouble(phone: string, at: number): void {
    if (!this.troubles.has(phone)) this.troubles.set(phone, at);
  }

  /** It was made good before the line noticed. */
  relief(phone: string): void {
    if (!this.open(phone)) this.troubles.delete(phone);
  }

  drop(phone: string, drop: DropOutput, at: number): void {
    const open = this.open(phone);
    if (open) {
      if (!drop.online) open.failedDials++;
      return;
    }
    const from = this.troubles.get(phone) ?? at;
    this.list.push({ phone, from, cause: drop.cause, message: drop.message ?? '', failedDials: 0, caughtUp: 0 });
    if (this.list.length > OUTAGES_MAX) this.list.shift();
  }

  welcome(phone: string, at: number): void {
    const open = this.open(phone);
    if (open) open.until = at;
    this.troubles.delete(phone);
  }

  /** The channel is read again, and this many publications were missed. */
  recovering(phone: string, publications: number): void {
    const last = this.list.findLast((outage) => outage.phone === phone);
    if (last?.until) last.caughtUp = publications;
  }

  /** The outage that the phone is in. */
  open(phone: string): Outage | undefined {
    return this.list.findLast((outage) => outage.phone === phone && outage.until === undefined);
  }
}
